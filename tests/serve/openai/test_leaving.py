"""Clients that go away: whatever ran or waited for them ends."""

import json
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from pocketphi.serve.openai import ServeOptions
from serve.openai.conftest import Served

USER = [{"role": "user", "content": "a"}]
SOON = 0.25


def begin(server: Served, **fields: object) -> socket.socket:
    """Ask, and do not wait for the answer."""
    address = urlsplit(server.url)
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)))
    body = json.dumps({"messages": USER, "ignore_eos": True, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def wait(condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come to pass"
        time.sleep(0.001)
    return time.monotonic() - began


def busy(server: Served) -> int:
    stats = server.scheduler.stats()
    return stats.running + stats.waiting


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_an_answer_ends_when_its_client_leaves(serve: Callable[..., Served], stream: bool, n: int) -> None:
    server = serve(parallel=2)
    connection = begin(server, stream=stream, n=n)
    wait(lambda: server.scheduler.stats().running == min(n, 2), 5)
    connection.close()
    wait(lambda: busy(server) == 0, SOON)


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_in_the_line_leaves_it_when_its_client_leaves(serve: Callable[..., Served], stream: bool) -> None:
    server = serve(parallel=1)
    first = begin(server, stream=True)
    wait(lambda: server.scheduler.stats().running == 1, 5)
    second = begin(server, stream=stream)
    wait(lambda: server.scheduler.stats().waiting == 1, 5)
    second.close()
    wait(lambda: server.scheduler.stats().waiting == 0, SOON)
    assert server.scheduler.stats().running == 1
    first.close()
    wait(lambda: busy(server) == 0, SOON)


def test_a_prompt_is_not_read_on_when_its_client_leaves(serve: Callable[..., Served]) -> None:
    server = serve()
    connection = begin(server, messages=[{"role": "user", "content": "tell me " * 450}], stream=True)
    wait(lambda: busy(server) == 1, 5)
    connection.close()
    wait(lambda: busy(server) == 0, SOON)


def test_a_reader_that_stops_reading_blocks_nobody_else(serve: Callable[..., Served]) -> None:
    server = serve()
    lazy = begin(server, stream=True)
    wait(lambda: busy(server) == 1, 5)
    answer = server.client.chat.completions.create(model="tiny", messages=USER, max_tokens=5)  # type: ignore[arg-type]
    assert answer.choices[0].finish_reason in {"stop", "length"}
    lazy.close()
    wait(lambda: busy(server) == 0, SOON)


def test_a_stream_that_waits_is_kept_alive(serve: Callable[..., Served]) -> None:
    server = serve(parallel=1, options=ServeOptions(keepalive_seconds=0.02))
    first = begin(server, stream=True)
    wait(lambda: server.scheduler.stats().running == 1, 5)
    with begin(server, stream=True, max_tokens=2) as second:
        received = b""
        while received.count(b": keep-alive\n\n") < 2:
            received += second.recv(4096)
        assert b'"role":"assistant"' in received
        first.close()
        while b"[DONE]" not in received:
            received += second.recv(4096)
