"""Download one file so that it is complete and right, or absent.

Bytes go to a `.partial` file beside the target, are hashed while they stream, and take the target's name only when
size and hash agree. A break, a stall or a killed process keeps the partial file, and the next try asks the server for
the rest. The partial file's name carries a fingerprint of *which* content it holds (the expected hash, or the server's
strong ETag, and the size): content that changed meanwhile has another name, so two versions are never glued together.
"""

import glob
import hashlib
import http.client
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub.disk import check_free_space, sync_folder, writing
from pocketphi.hub.web import Answer, BrokenConnection, Patience, Refused, gave_up, open_url, pause, retrying, said

_CHUNK = 1 << 20
_MAX_CHANGES = 3


class Progress(Protocol):
    """Told what happens: a label (a file's name, or why there is a pause), bytes done, and their number if known."""

    def __call__(self, label: str, done: int, total: int | None, /) -> None: ...


def silent(_label: str, _done: int, _total: int | None, /) -> None:
    """The `Progress` that says nothing."""


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Digest:
    """What content must hash to: a plain SHA-256, or the git blob id that the hub gives for small files."""

    kind: Literal["sha256", "git"]
    hex: str

    def hasher(self, size: int) -> Hasher:
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def matches(self, path: Path) -> bool:
        """Whether the file at `path` has this digest."""
        hasher = self.hasher(path.stat().st_size)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
        return hasher.hexdigest() == self.hex


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """Content somewhere else, and what is known of it beforehand."""

    url: str
    label: str
    """Its name in messages and for `Progress`."""
    size: int | None = None
    digest: Digest | None = None


def download(
    remote: RemoteFile,
    target: Path,
    settings: Settings,
    *,
    patience: Patience = Patience(),  # noqa: B008 - frozen
    progress: Progress = silent,
) -> Path:
    """Fetch `remote` to `target` and return `target`; a target that exists is complete and is left alone.

    The caller sees to it that one process at a time works on `target` (`disk.locked`).

    Raises:
        UserError: offline, no space, gave up after several tries, or the content is not what was promised.
        Refused: the server said no (401, 403, 404, ...).
    """
    for _ in range(_MAX_CHANGES):
        if target.is_file():
            return target
        content = _described(remote, settings, patience, progress)
        partial = target.with_name(f"{target.name}.{content.fingerprint}.partial")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            for other in target.parent.glob(f"{glob.escape(target.name)}.*.partial"):
                if other != partial:
                    other.unlink()
            was_kept = partial.exists()
        try:
            _fetch(content, partial, settings, patience, progress)
        except _WrongContent as wrong:
            if not (was_kept or wrong.has_changed):
                raise
            progress(f"{wrong.message}; starting again", 0, content.size)
            continue
        with writing(target):
            partial.rename(target)
            sync_folder(target.parent)
        return target
    raise UserError(f"{remote.label}: the content does not stand still", hint="try again in a while")


class _WrongContent(UserError):
    """What arrived is not what was promised. The partial file is gone."""

    def __init__(self, message: str, *, has_changed: bool = False) -> None:
        hint = "try again; if it repeats, the server, or a proxy on the way, alters the file"
        super().__init__(message, hint=hint)
        self.has_changed = has_changed


@dataclass(frozen=True, kw_only=True)
class _Content:
    """Exactly what is to arrive."""

    url: str
    label: str
    size: int
    digest: Digest | None
    etag: str | None
    """A strong ETag, by which the content is recognised where no digest is known."""

    @property
    def can_resume(self) -> bool:
        return self.digest is not None or self.etag is not None

    @property
    def fingerprint(self) -> str:
        known = self.digest.hex if self.digest else self.etag or "unknown"
        return hashlib.sha256(f"{known} {self.size}".encode()).hexdigest()[:16]


def _described(remote: RemoteFile, settings: Settings, patience: Patience, progress: Progress) -> _Content:
    """`remote` in full. What the caller did not know is asked of the server, which a HEAD request does."""
    size, digest, etag = remote.size, remote.digest, None
    if size is None or digest is None:
        answer = retrying(
            lambda: open_url(remote.url, settings, patience, method="HEAD"),
            patience,
            notify=lambda text: progress(text, 0, size),
            what=remote.label,
        )
        answer.response.close()
        told = answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length") or ""
        size = int(told) if size is None and re.fullmatch("[0-9]{1,15}", told) else size
        linked = answer.headers.get("X-Linked-Etag", "").strip('"')
        digest = Digest("sha256", linked) if digest is None and re.fullmatch("[0-9a-f]{64}", linked) else digest
        etag = answer.headers.get("ETag", "")
    if size is None:
        raise UserError(f"{remote.label}: the server does not say how large it is", hint="check `HF_ENDPOINT`")
    strong = etag if etag and etag.startswith('"') else None
    return _Content(url=remote.url, label=remote.label, size=size, digest=digest, etag=strong)


def _fetch(content: _Content, partial: Path, settings: Settings, patience: Patience, progress: Progress) -> None:
    """Fill `partial` until it is complete and right, over as many connections as that takes."""
    with writing(partial), partial.open("a+b") as out:
        body = _Body(out, content)
        check_free_space(partial.parent, content.size - body.size, content.label)
        progress(content.label, body.size, content.size)
        failures = 0
        while body.size < content.size:
            before = body.size
            try:
                _receive(body, content, settings, patience, progress)
            except BrokenConnection as broken:
                out.flush()
                failures = 1 if body.size - before >= patience.progress_bytes else failures + 1
                if failures >= patience.attempts:
                    raise gave_up(content.label, broken, failures) from broken
                pause(broken, failures, patience, lambda text: progress(text, body.size, content.size))
            except _WrongContent:
                partial.unlink()
                raise
        out.flush()
        os.fsync(out.fileno())
        if content.digest is not None and body.hasher.hexdigest() != content.digest.hex:
            partial.unlink()
            raise _WrongContent(
                f"{content.label}: the content does not match its {content.digest.kind} hash and was deleted: "
                f"expected `{content.digest.hex[:16]}…`, received `{body.hasher.hexdigest()[:16]}…`"
            )


def _receive(body: "_Body", content: _Content, settings: Settings, patience: Patience, progress: Progress) -> None:
    """Add what one connection yields to `body`; `BrokenConnection` if that is not all of the rest."""
    if not content.can_resume:
        body.clear()
    headers = {}
    if body.size:
        headers["Range"] = f"bytes={body.size}-"
        if content.etag and content.digest is None:
            headers["If-Range"] = content.etag
    try:
        answer = open_url(content.url, settings, patience, headers=headers)
    except Refused as refused:
        if refused.status != 416:
            raise
        body.clear()
        raise BrokenConnection("the server does not have the rest of what was kept") from refused
    with answer.response as response:
        _check_answer(answer, body, content)
        span_start, span_bytes = time.monotonic(), 0
        while body.size < content.size:
            try:
                chunk = response.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise BrokenConnection(f"the connection broke: {said(error)}") from error
            if not chunk:
                raise BrokenConnection(f"the connection closed {content.size - body.size} bytes too early")
            if body.size + len(chunk) > content.size:
                body.clear()
                raise BrokenConnection(f"the server sends more than the {content.size} bytes it promised")
            body.add(chunk)
            progress(content.label, body.size, content.size)
            span_bytes += len(chunk)
            elapsed = time.monotonic() - span_start
            if elapsed >= patience.slow_seconds:
                if span_bytes < patience.slow_bytes:
                    raise BrokenConnection(f"the download stalls ({span_bytes} bytes in {elapsed:.0f} s)")
                span_start, span_bytes = time.monotonic(), 0


def _check_answer(answer: Answer, body: "_Body", content: _Content) -> None:
    """See that what begins to arrive continues `body`; start from nothing where it does not."""
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UserError(
            f"{content.label}: the server compresses the file (`{encoding}`), although it was asked not to",
            hint="a proxy on the way may do this; check `HF_ENDPOINT` and the proxy settings",
        )
    etag = answer.headers.get("ETag", "")
    if content.digest is None and content.etag and etag.startswith('"') and etag != content.etag:
        raise _WrongContent(f"{content.label}: the file changed on the server", has_changed=True)
    if answer.status == 206:
        said = answer.headers.get("Content-Range", "")
        if said != f"bytes {body.size}-{content.size - 1}/{content.size}":
            body.clear()
            raise BrokenConnection(f"the server sends another part than asked for (`{said}`)")
    elif answer.status == 200:
        body.clear()
    else:
        raise BrokenConnection(f"the server answered {answer.status}")
    length = answer.headers.get("Content-Length")
    if length is not None and length.strip() != str(content.size - body.size):
        raise BrokenConnection(f"the server announces {length} bytes, {content.size - body.size} are due")


class _Body:
    """The partial file and the running hash of what it holds. A partial file that cannot be a beginning is emptied."""

    def __init__(self, out: BinaryIO, content: _Content) -> None:
        self._out = out
        self._content = content
        self.clear() if not content.can_resume or out.seek(0, os.SEEK_END) > content.size else self._rehash()

    def add(self, chunk: bytes) -> None:
        self._out.write(chunk)
        self.hasher.update(chunk)
        self.size += len(chunk)

    def clear(self) -> None:
        self._out.truncate(0)
        self._rehash()

    def _rehash(self) -> None:
        self.size = 0
        self.hasher: Hasher = (
            self._content.digest.hasher(self._content.size) if self._content.digest else hashlib.sha256()
        )
        self._out.seek(0)
        while chunk := self._out.read(_CHUNK):
            self.hasher.update(chunk)
            self.size += len(chunk)
