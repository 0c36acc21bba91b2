"""uvicorn's HTTP/1.1 with bounds: on what a connection may send before it is a request, and on how long it may take.

uvicorn waits for ever for the rest of a request, and takes headers of any length. Here a head has a size and a time, a
client that stops reading is cut, connections are counted by address, and what two readers of HTTP could understand
differently (request smuggling, RFC 9112, sections 6.3 and 11.2) is refused rather than understood. llhttp, the parser
beneath, refuses most of that; `_check_head` refuses the rest.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

_VERSIONS = frozenset(("1.0", "1.1"))
_MESSAGES = {
    400: b"malformed request\n",
    408: b"the request took too long to arrive\n",
    414: b"the address is too long\n",
    431: b"the headers are too long or too many\n",
    503: b"too many connections\n",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of a connection."""

    head_bytes: int = 16 << 10
    """Request line and headers together."""
    headers: int = 64
    target_bytes: int = 8 << 10
    head_seconds: float = 5.0
    """From the first byte of a head, or from the connection, to its end."""
    write_seconds: float = 30.0
    """A client that has not read for so long while there is more for it is cut."""
    connections: int = 256
    connections_of_one: int = 64
    """From one address."""
    pipelined: int = 4
    """Requests that wait behind one that is answered."""


class _Malformed(Exception):
    """The head is refused with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def protocol_class(limits: Limits) -> type[HttpToolsProtocol]:
    """uvicorn's protocol within `limits`; connections are counted per class."""
    connected: Counter[str] = Counter()

    class BoundedProtocol(HttpToolsProtocol):
        """One connection."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._head_timer: asyncio.TimerHandle | None = None
            self._write_timer: asyncio.TimerHandle | None = None
            self._is_in_head = True
            self._head_bytes = self._head_lines = 0
            self._raw_bytes = 0
            self._is_refused = False
            self._refusal: int | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            address = self._address()
            connected[address] += 1
            if connected[address] > limits.connections_of_one or connected.total() > limits.connections:
                self._refuse(503)
            else:
                self._start_head()

        def connection_lost(self, exc: Exception | None) -> None:
            address = self._address()
            connected[address] -= 1
            if connected[address] <= 0:
                del connected[address]
            for timer in (self._head_timer, self._write_timer):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._is_refused:
                return
            if self._is_in_head:
                self._raw_bytes += len(data)
            self._unset_keepalive_if_required()
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                self._refuse(400)  # no other protocol is spoken here
            except httptools.HttpParserError:
                self._refuse(self._refusal or 400)
            else:
                # A part of a head that the parser has not shown yet, such as one endless value.
                if self._is_in_head and self._raw_bytes > limits.head_bytes + len(data):
                    self._refuse(431)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head_bytes = self._head_lines = 0
            self._start_head()

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            if len(self.url) > limits.target_bytes:
                self._malformed(414)

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._head_lines += 1
            self._head_bytes += len(name) + len(value) + 4
            if self._head_lines > limits.headers or self._head_bytes + len(self.url) > limits.head_bytes:
                self._malformed(431)

        def on_headers_complete(self) -> None:
            self._check_head()
            if len(self.pipeline) >= limits.pipelined:
                self._malformed(400)
            self._is_in_head, self._raw_bytes = False, 0
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._is_in_head = True
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._write_timer is None:
                self._write_timer = self.loop.call_later(limits.write_seconds, self._cut)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._write_timer is not None:
                self._write_timer.cancel()
                self._write_timer = None

        def _check_head(self) -> None:
            """What llhttp lets pass and another reader could take otherwise."""
            if self.parser.get_http_version() not in _VERSIONS or self.parser.should_upgrade():
                self._malformed(400)
            if not self.url.startswith(b"/") and not (self.url == b"*" and self.parser.get_method() == b"OPTIONS"):
                self._malformed(400)  # an absolute form names a host of its own
            if any(byte <= 0x20 or byte >= 0x7F for byte in self.url):
                self._malformed(400)
            names = [name for name, _ in self.headers]
            for name, value in self.headers:
                if any(byte in b"\r\n\0" for byte in value) or not name:
                    self._malformed(400)
                if name == b"content-length" and not (value.isdigit() and len(value) < 16):
                    self._malformed(400)
                if name == b"transfer-encoding" and value.lower() != b"chunked":
                    self._malformed(400)
            lengths = names.count(b"content-length"), names.count(b"transfer-encoding")
            if names.count(b"host") != 1 or sum(lengths) > 1:
                self._malformed(400)
            if lengths[1] and self.parser.get_http_version() != "1.1":
                self._malformed(400)

        def _malformed(self, status: int) -> None:
            """Out of the parser with a status."""
            self._refusal = status
            raise _Malformed(status)

        def _refuse(self, status: int) -> None:
            """Answer and close; in the middle of another answer, only close."""
            self._is_refused = True
            if self.transport.is_closing():
                return
            if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]
                self.transport.abort()
                return
            body = _MESSAGES[status]
            head = STATUS_LINE[status] + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            self.transport.close()

        def _start_head(self) -> None:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(limits.head_seconds, self._too_slow)

        def _too_slow(self) -> None:
            self._head_timer = None
            if self._is_in_head:
                self._refuse(408)

        def _cut(self) -> None:
            self.transport.abort()

        def _address(self) -> str:
            return self.client[0] if self.client else ""

    return BoundedProtocol
