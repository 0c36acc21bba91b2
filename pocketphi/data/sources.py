"""Where pages come from: WARC archives and folders of HTML, Markdown, text and JSON lines.

`find_sources` lists files in a fixed order, `read_source` yields what a file holds: a `Page`, or an `Unreadable`
that says why there is none. Nothing that a crawl or a disk can do to a file is fatal: a damaged record is counted
and reading goes on at the next one; a page beyond `MAX_PAGE_BYTES` is skipped without being held in memory.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from pocketphi.errors import UserError, reason_of
from pocketphi.recipe import Curate, settings_of

MAX_PAGE_BYTES = 10_000_000
"""Larger pages are data dumps; the longest articles of an encyclopedia have a tenth of it."""

Kind = Literal["html", "text", "markdown"]

_KINDS: dict[str, Kind] = {
    ".html": "html", ".htm": "html", ".xhtml": "html", ".txt": "text", ".text": "text",
    ".md": "markdown", ".markdown": "markdown",
}  # fmt: skip
_ARCHIVES = (".warc", ".wet", ".wat", ".arc")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to read."""

    path: Path
    name: str
    """Path inside its folder: the same on every machine."""
    license: str

    def content(self) -> str:
        """SHA-256 of the file; empty if there is nothing to read."""
        try:
            # What a pipe says, nobody knows before; and it may never end.
            if not self.path.is_file():
                return ""
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as it was found."""

    key: str
    """File and place in it: unique in a corpus, the same on every machine."""
    url: str
    kind: Kind
    payload: bytes
    charset: str | None = None
    """What HTTP said."""


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """Something that is no page."""

    key: str
    url: str
    reason: str
    num_bytes: int


def corpus_settings(table: Curate, folders: Sequence[Path]) -> dict[str, Any]:
    """What decides a corpus beside the seed and the primer: the table, and the content of the folders."""
    if not folders:
        return settings_of(table)
    return {**settings_of(table), "folders": {source.name: source.content() for source in find_sources(folders)}}


def find_sources(
    folders: Sequence[Path],
    license: str = "unknown",  # noqa: A002 - as in Document
    name: str | None = None,
) -> list[Source]:
    """Every file of the folders, sorted by name; hidden ones are left out. A folder may also be a single file.

    Links are followed. What is no file, such as a link to a folder that is read already, is listed too, so that it is
    counted.

    Args:
        name: what stands for the folder in the names of sources; its number by default.

    Raises:
        UserError: a folder is missing, cannot be read or holds no file.
    """
    sources: list[Source] = []
    for number, folder in enumerate(folders):
        if not folder.exists():
            raise UserError(f"`{folder}` does not exist", hint="name a folder with text, Markdown, HTML or WARC files")
        visible = {path.relative_to(folder).as_posix(): path for path in _walk(folder)} if folder.is_dir() else {}
        if folder.is_file() and not folder.name.startswith("."):
            visible = {folder.name: folder}
        if not visible:
            raise UserError(f"`{folder}` holds no file", hint="name a folder with text, Markdown, HTML or WARC files")
        sources += [
            Source(path=visible[inside], name=f"{name or number}/{_readable(inside)}", license=license)
            for inside in sorted(visible)
        ]
    return sources


def keep_apart(folders: Sequence[Path], out: Path) -> None:
    """Refuse to read where results are written: held-out questions and lessons would become pages.

    Raises:
        UserError: `out` lies in a folder, or a folder in `out`.
    """
    result = out.resolve()
    for folder in folders:
        pages = folder.resolve()
        if result.is_relative_to(pages) or pages.is_relative_to(result):
            raise UserError(
                f"`{folder}` is read and `{out}` written, and one holds the other",
                hint="choose another --out, or name a folder that holds nothing but pages",
            )


def _walk(folder: Path) -> Iterator[Path]:
    """What is not hidden and no folder, and folders where they are met again: each is read once, so links may loop."""
    seen: set[tuple[int, int]] = set()
    roots = [folder]
    for root in roots:  # grows: folders that links lead to come last
        for where, folders, files in os.walk(root, onerror=_refuse):
            here = Path(where)
            identity = here.stat()
            if (identity.st_dev, identity.st_ino) in seen:
                folders.clear()
                yield here
                continue
            seen.add((identity.st_dev, identity.st_ino))
            visible = sorted(name for name in folders if not name.startswith("."))
            roots += [here / name for name in visible if (here / name).is_symlink()]
            folders[:] = [name for name in visible if not (here / name).is_symlink()]
            yield from (here / name for name in files if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise UserError(
        f"cannot read the folder `{error.filename}`: {reason_of(error)}",
        hint="make it readable, or name folders without it",
    ) from error


def _readable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 as `\\xe9`, and no two names alike."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def read_source(source: Source) -> Iterator[Page | Unreadable]:
    """What the file holds, in order. A file of an unknown kind is one `Unreadable`."""
    name = source.path.name.lower()
    plain = name.removesuffix(".gz")
    suffix = Path(plain).suffix
    try:
        if source.path.is_dir():
            yield _unreadable(source, "folder read already", 0)
        elif not source.path.exists():
            yield _unreadable(source, "link to nothing", 0)
        elif not source.path.is_file():
            yield _unreadable(source, "no regular file", 0)
        elif suffix in _ARCHIVES:
            # Imported here: a folder of text needs no WARC reader.
            from pocketphi.data.warc import read_archive

            yield from read_archive(source.path, source.name)
        elif suffix == ".jsonl":
            yield from _read_lines(source, compressed=name != plain)
        elif suffix in _KINDS:
            yield _read_whole(source, _KINDS[suffix], compressed=name != plain)
        else:
            yield _unreadable(source, "unknown kind of file", source.path.stat().st_size)
    except (gzip.BadGzipFile, zlib.error, EOFError):
        yield _unreadable(source, "damaged gzip", 0)
    except OSError:
        yield _unreadable(source, "cannot be read", 0)


def _open(source: Source, compressed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(source.path, "rb")) if compressed else source.path.open("rb")


def _read_whole(source: Source, kind: Kind, compressed: bool) -> Page | Unreadable:
    with _open(source, compressed) as file:
        payload = file.read(MAX_PAGE_BYTES + 1)
    if len(payload) > MAX_PAGE_BYTES:
        return _unreadable(source, "too large", source.path.stat().st_size)
    return Page(key=source.name, url=source.name, kind=kind, payload=payload)


def _read_lines(source: Source, compressed: bool) -> Iterator[Page | Unreadable]:
    """JSON lines with `html` or `text`, and perhaps a `url`."""
    with _open(source, compressed) as file:
        number = 0
        while line := file.readline(MAX_PAGE_BYTES + 1):
            number += 1
            key = f"{source.name}:{number}"
            size = len(line)
            if size > MAX_PAGE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_PAGE_BYTES)
                    size += len(line)
                yield Unreadable(key=key, url=key, reason="too large", num_bytes=size)
                continue
            try:
                row = json.loads(line)
                html = row.get("html") is not None
                payload = row["html" if html else "text"].encode("utf-8", "replace")
                url = str(row.get("url") or key).encode("utf-8", "replace").decode("utf-8")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                yield Unreadable(key=key, url=key, reason="damaged line", num_bytes=size)
                continue
            yield Page(key=key, url=url, kind="html" if html else "text", payload=payload, charset="utf-8")


def _unreadable(source: Source, reason: str, num_bytes: int) -> Unreadable:
    return Unreadable(key=source.name, url=source.name, reason=reason, num_bytes=num_bytes)
