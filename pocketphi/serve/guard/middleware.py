"""What a request must be before the application sees it.

Any web page can make a browser send requests to this machine; that a server listens on loopback protects nobody from
that. What a page cannot do is choose the headers freely: `Host` is the name that the browser was told, `Origin` the
page that asks, and a JSON content type is not sent to strangers without asking them first. So these three are compared
with exact lists, on every address and every route (`docs/serving.md`, "Who gets in").

Here is no state but the failures of guessers. Of a response only the head is touched, never a streamed piece.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pocketphi.errors import shown
from pocketphi.serve.guard.keyring import Keyring
from pocketphi.serve.guard.refusals import Refused

log = logging.getLogger(__name__)

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
"""Sent with every answer that does not set its own."""
_CORS_SECONDS = b"600"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Who gets in."""

    hosts: frozenset[str]
    """What `Host` may say, with its port, in small letters."""
    origins: frozenset[str]
    """The server's own origins, such as `http://127.0.0.1:1618`."""
    allowed_origins: frozenset[str] = frozenset()
    """Pages elsewhere that may ask."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """One of these opens; none: no key is needed."""
    open_paths: frozenset[str] = frozenset()
    """What may be fetched without a key."""
    post_paths: frozenset[str] = frozenset()
    """Where bodies are read. Posts to other paths are refused by the application, unread."""
    max_body_bytes: int = 1 << 20
    body_seconds: float = 10.0


class Guard:
    """An application behind `rules`. Sets `scope["pocketphi.tenant"]`: the same for the same key, "" without one."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._keyring = Keyring(rules.keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cors = self._cors(scope)
        sealed = _sealed(send, cors)
        try:
            headers = _single(scope["headers"])
            self._check_address(scope, headers)
            if cors and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                await _preflight(sealed)
                return
            scope["pocketphi.tenant"] = self._tenant(scope, headers)
            if scope["method"] == "POST" and scope["path"] in self._rules.post_paths:
                receive = _replayed(await self._body(headers, receive), receive)
        except Refused as refused:
            await refused.send(scope, sealed)
            return
        except _ClientLeft:
            return
        began = time.monotonic()
        try:
            await self._app(scope, receive, sealed)
        finally:
            # Of a request no more than this: headers hold keys, bodies hold what people think.
            log.info("%s %s %.0f ms", scope["method"], shown(scope["path"]), 1e3 * (time.monotonic() - began))

    def _check_address(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raises `Refused` if the request was sent under another name, or by another page."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host not in self._rules.hosts:
            raise Refused(421, "wrong_host", "this server does not go by that name; `--host-name` adds one")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") not in self._rules.origins | self._rules.allowed_origins:
            raise Refused(403, "wrong_origin", "this page may not ask this server; `--allow-origin` lets one")
        site = headers.get(b"sec-fetch-site", b"none")
        if origin is None and site not in (b"none", b"same-origin") and scope["method"] == "POST":
            raise Refused(403, "wrong_origin", "another site may not ask this server")

    def _tenant(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        is_open = scope["path"] in self._rules.open_paths and scope["method"] in ("GET", "HEAD")
        if self._keyring.is_empty or (is_open and b"authorization" not in headers):
            return ""
        address = scope["client"][0] if scope.get("client") else ""
        return self._keyring.tenant(headers.get(b"authorization"), address)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """All of it. Raises `Refused` if it is no JSON by its header, too long, or too slow."""
        if b"transfer-encoding" not in headers and int(headers.get(b"content-length", b"0")) == 0:
            return b""  # nothing has no type
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Refused(415, "unsupported_media_type", "send JSON, with `Content-Type: application/json`")
        if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise Refused(415, "unsupported_encoding", "send the body as it is, not compressed")
        most = self._rules.max_body_bytes
        too_long = Refused(413, "body_too_large", f"the body may have {most:,} bytes")
        if int(headers.get(b"content-length", b"0")) > most:
            raise too_long
        body = bytearray()
        try:
            async with asyncio.timeout(self._rules.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientLeft
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_long
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise Refused(408, "body_too_slow", "the body did not arrive in time") from None

    def _cors(self, scope: Scope) -> bytes | None:
        """The origin that a browser should let read the answer, if somebody asked for that."""
        for name, value in scope["headers"]:
            if name == b"origin" and value.decode("latin-1") in self._rules.allowed_origins:
                return bytes(value)
        return None


class _ClientLeft(Exception):
    """Nobody is there to be refused."""


def _single(headers: Iterable[Sequence[bytes]]) -> dict[bytes, bytes]:
    """Headers by name; those that decide something must not come twice."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in found and name in _DECIDING:
            raise Refused(400, "repeated_header", f"the header `{name.decode('latin-1')}` comes twice")
        found[name] = value
    return found


_DECIDING = frozenset(
    (b"host", b"origin", b"authorization", b"content-type", b"content-length", b"content-encoding", b"sec-fetch-site")
)


def _sealed(send: Send, cors: bytes | None) -> Send:
    """`send` with the headers that every answer has."""

    async def seal(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            given += [(name, value) for name, value in _HEADERS.items() if name not in names]
            if cors is not None:
                given += [(b"access-control-allow-origin", cors), (b"vary", b"origin")]
                given = [(n, b"cross-origin" if n == b"cross-origin-resource-policy" else v) for n, v in given]
            message = {**message, "headers": given}
        await send(message)

    return seal


async def _preflight(send: Send) -> None:
    """A browser asks whether a page elsewhere may ask."""
    answer: dict[str, Any] = {"type": "http.response.start", "status": 204}
    answer["headers"] = [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-max-age", _CORS_SECONDS),
    ]
    await send(answer)
    await send({"type": "http.response.body", "body": b""})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` once, and then what comes after it."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
