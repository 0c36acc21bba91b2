"""A server that answers the page word by word as a test wants, at a speed that a test can follow."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from pocketphi.serve.openai.page import page_routes
from pocketphi.serve.openai.served import PAGE

CONTEXT = 4096


@dataclass
class Script:
    """What the server says next."""

    words: list[str] = field(default_factory=lambda: ["Hello", " from", " the", " script", "."])
    pause: float = 0.0
    """Seconds between words."""
    breaks_after: int | None = None
    """Drop the connection after so many words."""
    refusal: tuple[int, dict[str, Any], dict[str, str]] | None = None
    """Status, error and headers instead of an answer."""
    key: str | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of requests so far."""
    left: int = 0
    """Answers that nobody read to the end."""


def application(script: Script) -> Starlette:
    """The page, and routes that follow `script`."""

    def refused(request: Request) -> JSONResponse | None:
        if script.key is not None and request.headers.get("authorization") != f"Bearer {script.key}":
            return JSONResponse({"error": {"message": "wrong key", "code": "invalid_api_key"}}, 401)
        return None

    async def models(request: Request) -> JSONResponse:
        data = [{"id": name, "max_model_len": CONTEXT} for name in ("tiny", "other")]
        return refused(request) or JSONResponse({"object": "list", "data": data})

    async def chat(request: Request) -> Any:
        script.asked.append(await request.json())
        if (no := refused(request)) is not None:
            return no
        if script.refusal is not None:
            status, error, headers = script.refusal
            return JSONResponse({"error": error}, status, headers)
        return StreamingResponse(stream(request), media_type="text/event-stream")

    async def stream(request: Request) -> AsyncIterator[bytes]:
        words = list(script.words)
        try:
            yield event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
            for number, word in enumerate(words):
                if number == script.breaks_after:
                    raise ConnectionError("as the script says")
                yield event({"choices": [{"delta": {"content": word}}]})
                await asyncio.sleep(script.pause)
            yield event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            usage = {"prompt_tokens": 20, "completion_tokens": len(words), "total_tokens": 20 + len(words)}
            yield event({"choices": [], "usage": usage})
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            script.left += 1
            raise

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            *page_routes(PAGE),
        ]
    )


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@contextmanager
def running(app: Any, port: int = 0) -> Iterator[str]:
    """Serve `app` on this machine; its address."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            thread.join(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
