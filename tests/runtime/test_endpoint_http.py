"""What servers do that is no answer: everything is refused in time, by name, and without the key."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from pocketphi.chat import Message
from pocketphi.errors import UserError
from pocketphi.runtime.backend import GenerateRequest
from pocketphi.runtime.endpoint_backend import EndpointBackend
from pocketphi.runtime.endpoint_http import Patience
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from runtime.endpoints import QUICK, SECRET, connect, here
from runtime.openai_server import OpenAI, send

CONTEXTS = ["the thing in the tin", "an", "", "what is it?", "der B\u00e4r\u4e2d", "the th", "a  ", "tin:\n\n\t"]
CONTINUATIONS = [" is", " is another thing", "", "x", "the the the", "in", " \u4e2d\u6587 \U0001f600!", "\u4e2d"]
TALK = (Message("system", "be brief"), Message("user", "what is in the tin?"))
BEGUN = (*TALK, Message("assistant", "the th"))


# What is no answer at all.


def drip(request: BaseHTTPRequestHandler) -> None:
    """A letter every now and then, for ever: in the head at first."""
    request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n")
    for _ in range(8):
        time.sleep(0.05)
        request.wfile.write(b"X: 1\r\n")
    request.wfile.write(b"\r\n")
    while True:
        time.sleep(0.05)
        request.wfile.write(b" ")


def drip_endlessly(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    while True:
        time.sleep(0.05)
        request.wfile.write(b"x")


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


NO_ANSWERS: dict[str, tuple[Any, str]] = {
    "a page": (b"<html><body>Welcome</body></html>", "something that is not JSON: .*<html>"),
    "nothing": (b"", "something that is not JSON"),
    "half": (b'{"choices": [', "something that is not JSON"),
    "no text": (b'{"choices": "\xff"}', "something that is not JSON"),
    "NaN": (b'{"choices": NaN}', "`NaN` is not a number"),
    "infinity": (b'{"choices": 1e999}', "`1e999` is too large"),
    "brackets": (b'{"a":' + b"[" * 200_000, "nested too deeply"),
    "digits": (b'{"a":' + b"1" * 5_000 + b"}", "something that is not JSON"),
    "a list": (b"[1]", "JSON that is no object"),
    "too much": (b'{"a":"' + b"x" * (2 << 20) + b'"}', "answered with more than 1,048,576 bytes"),
    "cut off": (lambda r: send(r, b'{"a":', length=99), "broke the connection: the answer is cut off .tried 3 times"),
    "silence": (hang_up, "broke the connection: .* .tried 3 times"),
    "elsewhere": (
        lambda r: send(r, b"", 302, {"Location": "http://127.0.0.1:9/v1?token=tell"}),
        "redirects to `127.0.0.1:9/v1`, which is not followed",
    ),
    "refused": (lambda r: send(r, b'{"error":{"message":"no\\nroom"}}', 400), r"answered 400: no\\nroom"),
    "unknown": (lambda r: send(r, b'{"detail":"Not Found"}', 404), "answered 404: Not Found"),
    "busy": (lambda r: send(r, b"", 503), "answered 503 .tried 3 times"),
    "strange": (lambda r: send(r, b"{}", 204), "answered 204"),
    "drips": (drip, r"gave no whole answer within 0.7 s .tried 2 times"),
    "drips at the start": (drip_endlessly, r"gave no whole answer within 0.7 s .tried 2 times"),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_what_is_no_answer_says_so(server: OpenAI, what: str):
    slow = Patience(timeout_seconds=0.7, attempts=2, backoff_seconds=0.01)
    backend = connect(server, slow if "drips" in what else QUICK)
    sent, reason = NO_ANSWERS[what]
    server.wrong = lambda *_: sent
    start = time.monotonic()
    with pytest.raises(UserError, match=reason) as error:
        backend.generate([GenerateRequest(prompt="the tin", max_tokens=8)])
    assert error.value.message.startswith(f"`{server.address}` ")
    assert "tell" not in str(error.value)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "failure",
    [
        lambda r: send(r, b"", 500),
        lambda r: send(r, b"", 429),
        hang_up,
        lambda r: send(r, b'{"a":', length=99),
    ],
)
def test_what_passes_is_tried_again(server: OpenAI, model: Model, failure: Callable[[BaseHTTPRequestHandler], None]):
    backend = connect(server)
    failures = [failure, failure]
    server.wrong = lambda _path, _body, right: failures.pop() if failures else right
    request = GenerateRequest(prompt="the tin", max_tokens=8)
    assert backend.generate([request]) == NativeBackend(model).generate([request])
    assert not failures


@pytest.mark.parametrize("said", ["1", "date"])
def test_the_pause_is_the_one_asked_for(server: OpenAI, said: str):
    backend = connect(server)
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2)) if said == "date" else said
    failures = [lambda request: send(request, b"", 429, {"Retry-After": when})]
    server.wrong = lambda _path, _body, right: failures.pop() if failures else right
    start = time.monotonic()
    backend.generate([GenerateRequest(prompt="the tin", max_tokens=1)])
    assert 0.9 < time.monotonic() - start < 4


def test_a_pause_without_end_is_cut(server: OpenAI):
    backend = connect(server, Patience(attempts=2, max_retry_after_seconds=0.1))
    server.wrong = lambda *_: lambda request: send(request, b"", 503, {"Retry-After": "999999999999"})
    with pytest.raises(UserError, match="answered 503"):
        backend.generate([GenerateRequest(prompt="the tin", max_tokens=1)])


@pytest.mark.parametrize("why", ["a failure", "Ctrl-C"])
def test_who_stops_abandons_the_rest(server: OpenAI, why: str):
    """Within moments, though the others are waiting for an answer that takes a minute."""
    backend = connect(server, concurrency=4)
    leave = threading.Event()

    def wrong(_path: str, body: dict[str, Any], right: dict[str, Any]) -> Any:
        if body["prompt"] == "bad":
            time.sleep(0.2)
            if why == "a failure":
                return lambda request: send(request, b'{"error": "bad"}', 400)
            os.kill(os.getpid(), signal.SIGINT)
        leave.wait(60)
        return right

    server.wrong = wrong
    start = time.monotonic()
    requests = [GenerateRequest(prompt=p, max_tokens=1) for p in ["good"] * 3 + ["bad"] + ["more"] * 20]
    with pytest.raises((UserError, KeyboardInterrupt)) as error:
        backend.generate(requests)
    assert isinstance(error.value, KeyboardInterrupt) if why == "Ctrl-C" else "answered 400: bad" in str(error.value)
    assert time.monotonic() - start < 5
    leave.set()
    assert not any(body["prompt"] == "more" for body in server.bodies("/completions"))


SILENCE = Patience(timeout_seconds=0.3, attempts=5, backoff_seconds=0.01)


def test_each_further_try_is_told(server: OpenAI):
    """The last one is told by the error, and a key that a server quotes by neither."""
    told: list[str] = []
    backend = connect(server, notice=told.append)
    server.wrong = lambda *_: lambda request: send(request, b'{"error": "no GPU for ' + SECRET.encode() + b'"}', 500)
    with pytest.raises(UserError, match=r"answered 500: no GPU for \*\*\* .tried 3 times"):
        backend.generate([GenerateRequest(prompt="the tin", max_tokens=8)])
    assert told == [f"`{server.address}` answered 500: no GPU for ***; try {n} in 0.0{n - 1} s" for n in (2, 3)]


def test_a_server_that_keeps_silent_is_given_up_before_anything_is_asked():
    """It takes connections and never answers: two tries, of which the first is told."""
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for arguments in ({}, {"model": "a", "max_context": 9}):
            with pytest.raises(UserError, match=r"gave no whole answer within 0.3 s .tried 2 times") as error:
                EndpointBackend(address, here(), patience=SILENCE, notice=told.append, **arguments)
            assert error.value.message.startswith(f"`{address}/v1` ")
    assert len(told) == 2
    brief = Patience().brief()
    assert (brief.timeout_seconds, brief.attempts) == (30, 2)
    assert (SILENCE.brief().timeout_seconds, Patience(attempts=1).brief().attempts) == (0.3, 1)


def test_a_question_that_takes_too_long_is_not_asked_for_ever(server: OpenAI):
    backend = connect(server, Patience(timeout_seconds=0.3, attempts=5, backoff_seconds=0.01, total_seconds=0.5))
    server.wrong = lambda *_: lambda _request: time.sleep(1)
    with pytest.raises(UserError, match=r"gave no whole answer within 0.3 s .tried 2 times"):
        backend.generate([GenerateRequest(prompt="the tin", max_tokens=8)])


def test_nobody_at_home():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=r"/v1` cannot be reached: connection refused .tried 2 times") as error:
        EndpointBackend(address, here(), patience=QUICK)
    assert error.value.message.startswith(f"`{address}/v1` ")


# Keys, addresses, the network.


def test_the_key_is_sent_and_never_shown(server: OpenAI):
    backend = connect(server)
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {SECRET}"}
    assert SECRET not in repr(here(POCKETPHI_API_KEY=SECRET))
    for quoting in (
        lambda r: send(r, json.dumps({"error": {"message": f"wrong key: {SECRET}"}}).encode(), 401),
        lambda r: send(r, b"x" * 70 + SECRET.encode()),
        lambda r: send(r, b"[" + SECRET.encode() * 9),
        lambda r: send(r, b"", 307, {"Location": "http://elsewhere.example/" + "x" * 40 + SECRET}),
    ):
        server.wrong = lambda *_, quoting=quoting: quoting
        with pytest.raises(UserError) as error:
            backend.generate([GenerateRequest(prompt="the", max_tokens=1)])
        assert SECRET[:6] not in str(error.value)


def test_no_key_sends_none(server: OpenAI):
    EndpointBackend(server.address, here(), patience=QUICK)
    assert not any("authorization" in seen.headers for seen in server.seen)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "\u00fcmlaut"])
def test_a_key_that_cannot_be_one(key: str):
    with pytest.raises(UserError, match="holds characters that no key has") as error:
        EndpointBackend("http://localhost:1", here(POCKETPHI_API_KEY=key))
    assert key not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8000",
        "ftp://localhost/",
        "file:///etc/passwd",
        "http://",
        "http://a:b:c",
        "http://[::1",
        "http://x:99999",
        "http://me:hush@localhost:1/v1",
        "http://localhost:1/v1?key=hush",
        "http://localhost:1/#hush",
        "http://a\r\nb/",
    ],
)
def test_addresses_that_are_none(address: str):
    with pytest.raises(UserError, match="endpoint") as error:
        EndpointBackend(address, here())
    assert "hush" not in str(error.value)


def test_offline_only_this_machine_is_asked(server: OpenAI, monkeypatch: pytest.MonkeyPatch):
    EndpointBackend(server.address, here(POCKETPHI_OFFLINE="1"), patience=QUICK)

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a connection, offline")

    monkeypatch.setattr(socket, "create_connection", no_network)
    for address in (
        "http://example.com/v1",
        "https://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.nip.io",
    ):
        with pytest.raises(UserError, match="the network is switched off"):
            EndpointBackend(address, here(POCKETPHI_OFFLINE="1"))


def test_a_proxy_sees_what_leaves_the_machine_and_nothing_else(server: OpenAI, monkeypatch: pytest.MonkeyPatch):
    for variable in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", server.address.removesuffix("/v1"))
    paths: list[str] = []
    server.wrong = lambda path, _body, right: paths.append(path) or right
    with pytest.raises(UserError, match=r"far\.example"):
        EndpointBackend("http://far.example/v1", here(), patience=QUICK)
    assert {seen.path for seen in server.seen} == {"http://far.example/v1/models"}
    server.seen.clear()
    connect(server)
    assert {seen.path for seen in server.seen} == {"/v1/models", "/v1/completions"}


@pytest.mark.parametrize("arguments", [{"concurrency": 0}, {"concurrency": 65}, {"max_context": 0}])
def test_settings_out_of_range(arguments: dict[str, int]):
    with pytest.raises(UserError, match=next(iter(arguments))):
        EndpointBackend("http://localhost:1", here(), **arguments)
