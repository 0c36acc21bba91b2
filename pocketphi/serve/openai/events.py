"""Server-sent events, written for speed: what a token costs here every client pays for.

One await for all pieces that are ready, one `send` for all their events, no task, no object of a framework and no
dictionary per token. What an answer's events look like is its `EventWriter`'s affair; the constant parts of an event
are made once.

The status is not sent before the first piece (or the first keep-alive comment), so a request that fails in the line
still gets a proper error.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pocketphi.runtime.scheduler.job import Piece
from pocketphi.serve.openai.answers import Answers, ClientLeft, followed
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.metrics import ModelMetrics
from pocketphi.serve.openai.served import ServeOptions

KEEPALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}

log = logging.getLogger(__name__)


class EventWriter(Protocol):
    """Writes one request's answers as events."""

    def begin(self) -> bytes:
        """Before the first piece."""
        ...

    def push(self, index: int, piece: Piece) -> bytes:
        """Of a piece; the last one has its stop reason."""
        ...

    def end(self) -> bytes:
        """After the last piece of all."""
        ...

    def failed(self, error: ApiError) -> bytes:
        """Instead of `end`."""
        ...


class EventStream(Response):
    """Answers as they are written."""

    media_type = "text/event-stream"

    def __init__(self, answers: Answers, writer: EventWriter, *, options: ServeOptions, metrics: ModelMetrics) -> None:
        super().__init__()
        self._answers, self._writer, self._options, self._metrics = answers, writer, options, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answers, writer = self._answers, self._writer
        has_begun = False
        body = b""
        try:
            async with followed(answers, receive, seconds=self._options.request_seconds):
                with _ticking(answers, self._options.keepalive_seconds):
                    while True:
                        ready = await answers.ready()
                        if not has_begun:
                            await send(_START)
                            has_begun, body = True, writer.begin()
                        body += b"".join([writer.push(index, piece) for index, piece in ready]) if ready else KEEPALIVE
                        self._metrics.written(answers, ready)
                        if not answers.num_open:
                            break
                        if body:
                            await send({"type": "http.response.body", "body": body, "more_body": True})
                            body = b""
            body += writer.end()
        except ClientLeft:
            self._metrics.left(answers)
            return
        except ApiError as error:
            self._metrics.left(answers)
            if not has_begun:
                await error.response(scope, receive, send)
                return
            body += writer.failed(error)
        except Exception:
            log.exception("an answer could not be written")
            if not has_begun:
                raise
            body = writer.failed(ApiError.internal())
        await send({"type": "http.response.body", "body": body, "more_body": False})


def event(value: Any) -> bytes:
    """One `data:` event."""
    return b"data: " + compact(value) + b"\n\n"


def compact(value: Any) -> bytes:
    """JSON in ASCII, as short as it goes."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def quoted(text: str) -> bytes:
    """A JSON string."""
    return encode_basestring_ascii(text).encode("ascii")


@contextmanager
def _ticking(answers: Answers, seconds: float) -> Iterator[None]:
    """Wake `answers` now and then, so that something is sent while nothing is ready."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def tick() -> None:
        nonlocal timer
        answers.wake()
        timer = loop.call_later(seconds, tick)

    timer = loop.call_later(seconds, tick)
    try:
        yield
    finally:
        timer.cancel()
