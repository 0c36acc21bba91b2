"""A client of an OpenAI-compatible server that costs little itself: bare sockets, one task a request.

The load generator runs on the cores that the server computes on. A client library takes longer to parse a streamed
token than a small model takes to write it, so this one looks at bytes and reads JSON only where it must.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

WORDS = [
    "river",
    "stone",
    "light",
    "garden",
    "morning",
    "winter",
    "letter",
    "music",
    "table",
    "window",
    "story",
    "paper",
]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One request as its client saw it; seconds count from its start."""

    status: int
    first_token: float | None
    """The first event with text."""
    ended: float
    events: int
    """Events with text."""
    completion_tokens: int | None
    prompt_tokens: int | None
    retry_after: str | None
    started_at: float
    """`time.perf_counter` when it began."""
    problem: str = ""


def prompt_of(words: int, seed: int) -> list[dict[str, str]]:
    """A conversation whose very first words are like no other's, so that no prefix cache helps."""
    chance = random.Random(seed)
    text = " ".join(chance.choice(WORDS) for _ in range(words))
    return [
        {"role": "system", "content": f"{chance.randrange(10**9)} is your number."},
        {"role": "user", "content": f"{text}\nContinue."},
    ]


def chat_body(messages: list[dict[str, str]], *, tokens: int, **more: Any) -> dict[str, Any]:
    """A streamed request that every server takes: greedy, so many tokens, usage at the end."""
    return {
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        **more,
    }


async def ask(
    port: int,
    body: Mapping[str, Any] | bytes,
    *,
    path: str = "/v1/chat/completions",
    leave_after: float | None = None,
    patience: float = 600.0,
) -> Heard:
    """Send one request and read its answer, or leave in the middle of it."""
    started = time.perf_counter()
    seen: dict[str, Any] = {}
    problem = ""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.wait_for(_converse(reader, writer, port, path, body, started, seen), leave_after or patience)
        except TimeoutError:
            problem = "left" if leave_after else "timeout"
        finally:
            writer.transport.abort() if leave_after else writer.close()
    except (OSError, EOFError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    return Heard(
        status=seen.get("status", 0),
        first_token=seen.get("first_token"),
        ended=time.perf_counter() - started,
        events=seen.get("events", 0),
        completion_tokens=seen.get("completion_tokens"),
        prompt_tokens=seen.get("prompt_tokens"),
        retry_after=seen.get("retry-after"),
        started_at=started,
        problem=problem or seen.get("problem", ""),
    )


async def get(port: int, path: str) -> tuple[int, bytes]:
    """One GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        status, headers = await _head(reader)
        parts = [part async for part in _parts(reader, headers)]
        return status, b"".join(parts)
    finally:
        writer.close()


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    port: int,
    path: str,
    body: Mapping[str, Any] | bytes,
    started: float,
    seen: dict[str, Any],
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + data)
    status, headers = await _head(reader)
    seen["status"], seen["retry-after"] = status, headers.get("retry-after")
    rest = b""
    async for part in _parts(reader, headers):
        *events, rest = (rest + part).split(b"\n\n")
        for event in events:
            _event(event, started, seen)
    if status != 200:
        seen["problem"] = rest.decode(errors="replace")[:300]


def _event(event: bytes, started: float, seen: dict[str, Any]) -> None:
    if not event.startswith(b"data: {"):
        return
    if b'"content":"' in event and b'"content":""' not in event:
        seen.setdefault("first_token", time.perf_counter() - started)
        seen["events"] = seen.get("events", 0) + 1
    elif b'"usage":{' in event:
        usage = json.loads(event[6:])["usage"]
        seen["completion_tokens"], seen["prompt_tokens"] = usage["completion_tokens"], usage["prompt_tokens"]
    elif b'"error"' in event:
        seen["problem"] = event.decode(errors="replace")[:300]


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _parts(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while part := await reader.read(65536):
            yield part
