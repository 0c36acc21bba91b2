"""WARC archives, also damaged ones (ISO 28500; fastwarc parses the records).

After damage, reading goes on at the next record: in a compressed archive at the next gzip member that starts a
record, in a plain one at the next version line. A last record that is cut short is counted, not passed on as a page.
"""

import mmap
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecordType

from pocketphi.data.sources import MAX_PAGE_BYTES, Kind, Page, Unreadable

_GZIP = b"\x1f\x8b\x08"
_VERSION = b"WARC/1."
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,200}\r\n")
_HTML = ("text/html", "application/xhtml+xml")
_HEAD_BYTES = 65_536


def read_archive(path: Path, name: str) -> Iterator[Page | Unreadable]:
    """The pages of an archive; requests, metadata and revisits are no pages and are passed over."""
    size = path.stat().st_size
    if size == 0:
        yield Unreadable(key=name, url=name, reason="empty archive", num_bytes=0)
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as archive:
        start: int | None = 0
        is_plain = archive[:3] != _GZIP
        while start is not None and start < size:
            # A record is passed on when the next one was reached: the last one may be cut short.
            last, waiting, failed, found = start, None, False, False
            file.seek(start)
            expected: int | None = start
            try:
                for record in ArchiveIterator(file, quirks_mode=True):
                    # Lenient parsing runs over garbage, and over the record behind it; only gzip stops it.
                    if is_plain and expected is not None and archive[expected : record.stream_pos].strip():
                        raise ValueError("garbage between records")
                    if waiting is not None:
                        yield waiting
                    last, waiting, found = record.stream_pos, None, True
                    waiting = _page(record, f"{name}@{last}")
                    expected = _end_of_record(archive, last) if is_plain else None
            except (OSError, ValueError):
                failed = True
            end = _end_of_record(archive, last) if last < size else size
            failed = failed or not found
            if end is None or not found:
                reason = "damaged record" if failed else "truncated record"
                yield Unreadable(key=f"{name}@{last}", url=name, reason=reason, num_bytes=0)
            elif waiting is not None:
                yield waiting
            if end is not None and found:
                start = end if archive[end : end + _HEAD_BYTES].strip() else None
            else:
                start = _next_record(archive, last + 1) if failed else None


def _page(record: Any, key: str) -> Page | Unreadable | None:
    """A record's page, or what is wrong with it; None for records that hold none."""
    kind = record.record_type
    if kind not in (WarcRecordType.response, WarcRecordType.resource, WarcRecordType.conversion):
        return None
    url = record.headers.get("WARC-Target-URI") or key
    size = record.content_length
    http = record.http_headers if record.is_http_parsed else None
    if kind == WarcRecordType.response:
        if http is None:
            return None
        if http.status_code is not None and http.status_code != 200:
            return Unreadable(key=key, url=url, reason="http status", num_bytes=size)
    content_type = (http.get("Content-Type") if http is not None else record.headers.get("Content-Type")) or "text/html"
    media = content_type.partition(";")[0].strip().lower()
    if media in _HTML:
        page_kind: Kind = "html"
    elif media == "text/plain":
        page_kind = "text"
    elif media == "text/markdown":
        page_kind = "markdown"
    else:
        return Unreadable(key=key, url=url, reason="not text", num_bytes=size)
    # The length that a record claims may be a lie, and its body may be compressed: what is read is bounded too.
    payload = b"" if size > MAX_PAGE_BYTES else record.reader.read(MAX_PAGE_BYTES + 1)
    if max(size, len(payload)) > MAX_PAGE_BYTES:
        return Unreadable(key=key, url=url, reason="too large", num_bytes=max(size, len(payload)))
    if http is not None:
        payload = _decode_body(payload, http)
        if len(payload) > MAX_PAGE_BYTES:
            return Unreadable(key=key, url=url, reason="too large", num_bytes=len(payload))
    charset = _CHARSET.search(content_type)
    return Page(key=key, url=url, kind=page_kind, payload=payload, charset=charset.group(1) if charset else None)


def _decode_body(body: bytes, http: Any) -> bytes:
    """Undo chunks and gzip. Crawlers often store a body that is already plain beside headers that say otherwise, so
    what does not decode stays as it is."""
    if "chunked" in (http.get("Transfer-Encoding") or "").lower():
        body = _join_chunks(body)
    if (http.get("Content-Encoding") or "").strip().lower() in ("gzip", "x-gzip", "deflate"):
        for window in (47, -15):  # gzip or zlib by their headers; raw deflate
            try:
                return zlib.decompressobj(window).decompress(body, MAX_PAGE_BYTES + 1)
            except zlib.error:
                continue
    return body


def _join_chunks(body: bytes) -> bytes:
    parts, position = [], 0
    while match := _CHUNK.match(body, position):
        length = int(match.group(1), 16)
        if length == 0:
            break
        parts.append(body[match.end() : match.end() + length])
        position = match.end() + length + 2
    return b"".join(parts) if parts else body


def _end_of_record(archive: mmap.mmap, start: int) -> int | None:
    """Where the record at `start` ends; None if it is damaged or the file ends before it."""
    if archive[start : start + 3] != _GZIP:
        head = archive[start : start + _HEAD_BYTES]
        length = re.search(rb"\r?\ncontent-length:\s*(\d{1,15})\s*\r?\n", head, re.IGNORECASE)
        body = re.search(rb"\r?\n\r?\n", head)
        if not head.startswith(_VERSION) or length is None or body is None:
            return None
        end = start + body.end() + int(length.group(1))
        return end if end <= len(archive) else None
    member = zlib.decompressobj(31)
    position = start
    try:
        while not member.eof and position < len(archive):
            chunk = archive[position : position + _HEAD_BYTES]
            position += len(chunk)
            while chunk and not member.eof:
                member.decompress(chunk, 1 << 20)
                chunk = member.unconsumed_tail
    except zlib.error:
        return None
    return position - len(member.unused_data) if member.eof else None


def _next_record(archive: mmap.mmap, start: int) -> int | None:
    """The next place from `start` where a record begins."""
    if archive[:3] != _GZIP:
        found = archive.find(_VERSION, start)
        return found if found >= 0 else None
    while (found := archive.find(_GZIP, start)) >= 0:
        try:
            if zlib.decompressobj(31).decompress(archive[found : found + 1024], 64).startswith(_VERSION):
                return found
        except zlib.error:
            pass
        start = found + 1
    return None
