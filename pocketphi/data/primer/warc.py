"""WARC 1.1 files whose bytes depend on their content only.

Every record is a gzip member of its own, as the format asks for. The members are stored, not compressed: what a
compressor makes of the same bytes differs between versions of zlib, and the primer promises the same bytes on every
machine. Dates are counted from a fixed day, record ids are digests. (ISO 28500:2017; RFC 1952; RFC 1951, 3.2.4.)
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_BLOCK = 0xFFFF


def record(url: str, body: bytes, number: int, *, truncated: bool = False, content_type: str = "text/html") -> bytes:
    """A `response` record, gzip member and all.

    Args:
        number: how many records came before; the date follows from it.
        truncated: mark the body as cut by the crawler.
    """
    http = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    return _member(
        _headers("response", url, http, number, "application/http; msgtype=response", truncated=truncated)
        + http
        + b"\r\n\r\n"
    )


def info(number: int) -> bytes:
    """The `warcinfo` record that opens a file."""
    body = b"software: pocketphi primer\r\nformat: WARC File Format 1.1\r\n"
    return _member(_headers("warcinfo", None, body, number, "application/warc-fields") + body + b"\r\n\r\n")


def _headers(
    kind: str, url: str | None, block: bytes, number: int, content_type: str, *, truncated: bool = False
) -> bytes:
    digest = hashlib.sha256(b"%d:" % number + block).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
    date = (_EPOCH + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [
        "WARC/1.1",
        f"WARC-Type: {kind}",
        *([f"WARC-Target-URI: {url}"] if url else []),
        f"WARC-Date: {date}",
        f"WARC-Record-ID: <urn:uuid:{uuid}>",
        *(["WARC-Truncated: length"] if truncated else []),
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _member(data: bytes) -> bytes:
    """A gzip member of stored blocks: no time, no name, no compressor."""
    parts = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    starts = range(0, len(data) or 1, _BLOCK)
    for start in starts:
        piece = data[start : start + _BLOCK]
        parts.append(struct.pack("<BHH", start + _BLOCK >= len(data), len(piece), len(piece) ^ 0xFFFF) + piece)
    parts.append(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(parts)


def write_file(path: Path, records: Iterable[bytes], *, cut: int = 0) -> None:
    """Write records one after the other; `cut` drops that many bytes at the end, as a broken transfer would."""
    data = b"".join(records)
    path.write_bytes(data[: len(data) - cut])
