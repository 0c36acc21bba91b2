"""Where pages come from: WARC archives and folders of HTML, Markdown, text and JSON lines.

`find_sources` lists files in a fixed order, `read_source` yields what a file holds: a `Page`, or an `Unreadable`
that says why there is none. Nothing that a crawl or a disk can do to a file is fatal: a damaged record is counted
and reading goes on at the next one; a page beyond `MAX_PAGE_BYTES` is skipped without being held in memory.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from pocketphi.errors import UserError
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
        """SHA-256 of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


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

    Args:
        name: what stands for the folder in the names of sources; its number by default.

    Raises:
        UserError: a folder is missing or holds no file.
    """
    sources: list[Source] = []
    for number, folder in enumerate(folders):
        if not folder.exists():
            raise UserError(f"`{folder}` does not exist", hint="name a folder with text, Markdown, HTML or WARC files")
        paths = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
        base = folder.parent if folder.is_file() else folder
        named = {path.relative_to(base): path for path in paths}
        visible = {
            inside.as_posix(): path
            for inside, path in named.items()
            if not any(part.startswith(".") for part in inside.parts)
        }
        if not visible:
            raise UserError(f"`{folder}` holds no file", hint="name a folder with text, Markdown, HTML or WARC files")
        sources += [
            Source(path=visible[inside], name=f"{name or number}/{inside}", license=license)
            for inside in sorted(visible)
        ]
    return sources


def read_source(source: Source) -> Iterator[Page | Unreadable]:
    """What the file holds, in order. A file of an unknown kind is one `Unreadable`."""
    name = source.path.name.lower()
    plain = name.removesuffix(".gz")
    suffix = Path(plain).suffix
    try:
        if suffix in _ARCHIVES:
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
                html = "html" in row
                payload = str(row["html" if html else "text"]).encode("utf-8", "replace")
                url = str(row.get("url") or key)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                yield Unreadable(key=key, url=key, reason="damaged line", num_bytes=size)
                continue
            yield Page(key=key, url=url, kind="html" if html else "text", payload=payload, charset="utf-8")


def _unreadable(source: Source, reason: str, num_bytes: int) -> Unreadable:
    return Unreadable(key=source.name, url=source.name, reason=reason, num_bytes=num_bytes)
