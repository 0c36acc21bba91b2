"""A server behind HTTP: the model's own answers through it, and no belief in what cannot be true."""

import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.chat import Message
from pocketphi.config import Settings, settings
from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime.backend import Backend, GenerateRequest, ScoreRequest
from pocketphi.runtime.endpoint_backend import EndpointBackend
from pocketphi.runtime.endpoint_echo import spans
from pocketphi.runtime.endpoint_http import Patience
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.writer import StopReason
from runtime.openai_server import OpenAI, Wrong, openai_server, send

CONTEXTS = ["the thing in the tin", "an", "", "what is it?", "der B\u00e4r\u4e2d", "the th", "a  ", "tin:\n\n\t"]
CONTINUATIONS = [" is", " is another thing", "", "x", "the the the", "in", " \u4e2d\u6587 \U0001f600!", "\u4e2d"]
TALK = (Message("system", "be brief"), Message("user", "what is in the tin?"))
BEGUN = (*TALK, Message("assistant", "the th"))
QUICK = Patience(timeout_seconds=30, attempts=3, backoff_seconds=0.01, max_retry_after_seconds=2)
SECRET = "sk-abc123-do-not-show"


@pytest.fixture(scope="module")
def model(tiny_file: PocketFile) -> Iterator[Model]:
    with Model(tiny_file, threads=1) as model:
        yield model


@pytest.fixture
def server(model: Model) -> Iterator[OpenAI]:
    with openai_server(OpenAI(model)) as server:
        yield server


def here(**variables: str) -> Settings:
    return settings({"HOME": "/nowhere", **variables})


def connect(server: OpenAI, patience: Patience = QUICK, **arguments: Any) -> EndpointBackend:
    return EndpointBackend(server.address, here(POCKETPHI_API_KEY=SECRET), patience=patience, **arguments)


def plain_requests() -> list[ScoreRequest]:
    return [ScoreRequest(context=q, continuation=a) for q in CONTEXTS for a in CONTINUATIONS if q + a]


# What comes through HTTP is what the model says.


@pytest.mark.parametrize("form", ["echo", "prompt_logprobs"])
@pytest.mark.parametrize("loses_spaces", [False, True])
@pytest.mark.parametrize("opening", [None, "<|endoftext|>"])
def test_scores_are_the_models_own(
    server: OpenAI, model: Model, form: str, loses_spaces: bool, opening: str | None, monkeypatch: pytest.MonkeyPatch
):
    bos = None if opening is None else model.tokenizer.special_ids[opening]
    monkeypatch.setattr(Model, "bos_id", property(lambda _: bos))
    server.echoes, server.loses_spaces = form == "echo", loses_spaces
    requests = plain_requests()
    backend: Backend = connect(server)
    for request, found, expected in zip(
        requests, backend.score(requests), NativeBackend(model).score(requests), strict=True
    ):
        assert found.num_tokens == expected.num_tokens, request
        assert found.logprob == pytest.approx(expected.logprob, abs=1e-6), request
        assert found.is_greedy == expected.is_greedy, request


def test_the_context_is_asked_for_only_where_a_token_crosses_the_border(server: OpenAI, model: Model):
    backend = connect(server)
    server.seen.clear()
    backend.score([ScoreRequest(context="the tin", continuation=f" {letter}") for letter in "abcdef"])
    assert len(server.seen) == 6
    server.seen.clear()
    melting = ScoreRequest(context="the t", continuation="he")
    assert model.tokenizer.encode("the the")[:2] != model.tokenizer.encode("the t"), "nothing melts here"
    assert backend.score([melting]) == pytest.approx(NativeBackend(model).score([melting]))
    assert [body["prompt"] for body in server.bodies("/completions")] == ["the the", "the t"]
    server.seen.clear()
    backend.score([ScoreRequest(context="the\n\n\t", continuation=letter) for letter in "abc"])
    assert len(server.seen) == 4


@pytest.mark.parametrize("talk", [TALK, BEGUN])
def test_scores_in_a_conversation_are_the_models_own(server: OpenAI, model: Model, talk: tuple[Message, ...]):
    requests = [ScoreRequest(context=talk, continuation=text) for text in (" a tin", "e", "e thing is", "\u4e2d", "")]
    backend = connect(server)
    server.seen.clear()
    for found, expected in zip(backend.score(requests), NativeBackend(model).score(requests), strict=True):
        assert found.num_tokens == expected.num_tokens
        assert found.logprob == pytest.approx(expected.logprob, abs=1e-6)
        assert found.is_greedy == expected.is_greedy
    assert len(server.seen) == 5, "the conversation itself, once, and each continuation that is not empty"


@pytest.mark.parametrize("prompt", ["the thing", "", TALK, BEGUN])
@pytest.mark.parametrize("sampling", [SamplingOptions(), SamplingOptions(temperature=1.0, seed=2**64 - 1)])
def test_answers_are_the_models_own(server: OpenAI, model: Model, prompt: Any, sampling: SamplingOptions):
    backend = connect(server)
    request = GenerateRequest(prompt=prompt, max_tokens=20, sampling=sampling)
    if not prompt:
        with pytest.raises(UserError, match="needs a prompt"):
            backend.generate([request])
        return
    told = SamplingOptions(temperature=sampling.temperature, seed=sampling.seed % 2**63)
    expected = GenerateRequest(prompt=prompt, max_tokens=20, sampling=told)
    assert backend.generate([request]) == NativeBackend(model).generate([expected])


def test_every_stop_string_counts_though_a_server_takes_four(server: OpenAI, model: Model):
    [whole] = NativeBackend(model).generate([GenerateRequest(prompt="hello", max_tokens=40)])
    stop = whole.text[9:11]
    request = GenerateRequest(prompt="hello", max_tokens=40, stop=("#1", "#2", "#3", "#4", stop))
    [cut] = connect(server).generate([request])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.stop_reason is StopReason.STOP
    assert server.bodies("/completions")[-1]["stop"] == ["#1", "#2", "#3", "#4"]
    [heard] = connect(server).generate([GenerateRequest(prompt="hello", max_tokens=40, stop=(stop,))])
    assert (heard.text, heard.stop_reason) == (cut.text, StopReason.STOP)


def test_results_keep_the_order_of_the_requests(server: OpenAI, model: Model):
    def slow(path: str, body: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.05 * ("0" in str(body.get("prompt"))))
        return right

    requests = [GenerateRequest(prompt=f"the {n}", max_tokens=4) for n in range(12)]
    backend = connect(server, concurrency=3)
    server.wrong, server.most_at_once = slow, 0
    assert backend.generate(requests) == NativeBackend(model).generate(requests)
    assert 1 < server.most_at_once <= 3


# Names and capabilities.


def test_the_first_model_of_the_list_with_its_context(server: OpenAI, model: Model):
    backend = connect(server)
    assert backend.model == "tiny"
    assert backend.capabilities.max_context == model.context_size
    assert backend.capabilities.logprobs
    assert backend.length(ScoreRequest(context="a", continuation="b")) is None


def test_a_context_that_nobody_knows_is_asked_for(server: OpenAI):
    with pytest.raises(UserError, match="does not say how many tokens the context of `other` holds") as error:
        connect(server, model="other")
    assert "--context" in str(error.value.hint)
    assert connect(server, model="other", max_context=77).capabilities.max_context == 77


def test_the_identity_names_the_place_and_the_model(server: OpenAI, monkeypatch: pytest.MonkeyPatch):
    one, two = connect(server), connect(server, model="../some/other", max_context=9)
    assert one.identity == f"remote {server.address} tiny"
    assert two.identity == f"remote {server.address} ../some/other"
    assert (one.name, two.name) == ("tiny", "some-other")
    monkeypatch.setenv("POCKETPHI_API_KEY", SECRET)
    named = EndpointBackend.connect(f"{server.address}/#other", max_context=9)
    assert named.identity == f"remote {server.address} other"
    assert SECRET not in named.identity


def test_a_server_without_logprobs_can_only_write(server: OpenAI, model: Model):
    """As llama.cpp's, which takes `echo` and tells of the new token alone."""
    server.echoes = server.prompt_logprobs = False
    backend = connect(server)
    assert not backend.capabilities.logprobs
    with pytest.raises(UserError, match="cannot score texts: it gives no logprobs for the tokens of a prompt"):
        backend.score([ScoreRequest(context="a", continuation="b")])
    request = GenerateRequest(prompt="the", max_tokens=5)
    assert backend.generate([request]) == NativeBackend(model).generate([request])


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_a_server_that_refuses_what_it_does_not_have(server: OpenAI, status: int):
    def refuse(path: str, body: dict[str, Any], right: dict[str, Any]) -> Any:
        if "echo" in body or "prompt_logprobs" in body:
            return lambda request: send(request, b'{"error":{"message":"Only no echo is supported"}}', status)
        return right

    server.wrong = refuse
    assert not connect(server).capabilities.logprobs


def test_conversations_are_not_scored_without_their_logprobs(server: OpenAI):
    server.prompt_logprobs = False
    with pytest.raises(UserError, match="gives no logprobs for a conversation") as error:
        connect(server).score([ScoreRequest(context=TALK, continuation=" a")])
    assert "without the chat form" in str(error.value.hint)


def test_a_begun_answer_that_would_be_closed_is_not_sent(server: OpenAI):
    server.continues = False
    backend = connect(server)
    with pytest.raises(UserError, match="does not go on with an answer that has begun"):
        backend.generate([GenerateRequest(prompt=BEGUN, max_tokens=3)])
    with pytest.raises(UserError, match="does not end a prompt where the answer does"):
        backend.score([ScoreRequest(context=BEGUN, continuation="e")])


# Lies about logprobs.


def column(name: str, change: Callable[[list[Any]], Any]) -> Wrong:
    """Changes one list of `logprobs`."""

    def wrong(_path: str, body: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        if body.get("echo"):
            told = right["choices"][0]["logprobs"]
            told[name] = change(told[name])
        return right

    return wrong


def put(value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [*values[:2], value, *values[3:]]


def invented() -> Wrong:
    random = np.random.default_rng(0)
    return column("token_logprobs", lambda values: [None, *(-9 - 3 * random.random(len(values) - 1))])


LIES: dict[str, tuple[Wrong, str]] = {
    "above 0": (column("token_logprobs", put(0.5)), "token 2 the logprob `0.5`"),
    "null": (column("token_logprobs", put(None)), "token 2 the logprob `None`"),
    "a text": (column("token_logprobs", put("-1")), "token 2 the logprob `-1`"),
    "a truth value": (column("token_logprobs", put(True)), "token 2 the logprob `True`"),
    "nothing like a number": (column("token_logprobs", put(-1e31)), "token 2 the logprob"),
    "likelier than the likeliest": (column("token_logprobs", put(-1e-9)), "and the likeliest token there"),
    "too likely together": (column("top_logprobs", put({"a": -0.1, "b": -0.1})), "that sum to 1.8"),
    "no alternatives": (column("top_logprobs", put({})), "no alternatives for token 2"),
    "alternatives that are none": (column("top_logprobs", put([1])), "no alternatives for token 2"),
    "unequal lengths": (column("token_logprobs", lambda values: values[:-2]), "tokens, .* logprobs and .*"),
    "no lists": (column("token_logprobs", lambda _: {"a": 1}), "`logprobs` that are no lists"),
    "tokens that are no texts": (column("tokens", put(7)), "tokens that are no texts"),
    "another text": (column("tokens", put("zebra")), "do not add up to the prompt"),
    "a text cut short": (column("tokens", lambda values: ["", "", *values[2:]]), "do not add up to the prompt"),
    "zeros": (
        lambda p, b, r: column("top_logprobs", lambda v: [None, *[{"a": 0.0}] * (len(v) - 1)])(
            p, b, column("token_logprobs", lambda v: [None, *[0.0] * (len(v) - 1)])(p, b, r)
        ),
        "every token the logprob 0",
    ),
    "invented": (invented(), "gives one token the logprobs .* and .*, with the same text before it"),
}


@pytest.mark.parametrize("lie", LIES)
def test_who_lies_from_the_start_is_not_scored_with(server: OpenAI, lie: str):
    server.prompt_logprobs = False
    server.wrong, reason = LIES[lie]
    backend = connect(server)
    assert not backend.capabilities.logprobs
    with pytest.raises(UserError, match=reason) as error:
        backend.score([ScoreRequest(context="the tin", continuation=" is in")])
    assert server.address in error.value.message


@pytest.mark.parametrize("lie", [name for name in LIES if name not in {"zeros", "invented"}])
def test_who_lies_later_is_found_out(server: OpenAI, lie: str):
    backend = connect(server)
    server.wrong, reason = LIES[lie]
    with pytest.raises(UserError, match=reason):
        backend.score([ScoreRequest(context="the tin", continuation=" is in")])


def table(change: Callable[[list[Any]], Any]) -> Wrong:
    def wrong(_path: str, _body: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        choice = right["choices"][0]
        if "prompt_logprobs" in choice:
            choice["prompt_logprobs"] = change(choice["prompt_logprobs"])
        return right

    return wrong


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put({"5": {"logprob": 0.25, "decoded_token": "a"}}), "token 2 the logprob `0.25`"),
        (put({"5": {"logprob": -1.0, "decoded_token": "zebra"}}), "do not add up to the prompt"),
        (put({"5": {"decoded_token": "a"}}), "token 2 the logprob `None`"),
        (put({}), "no logprobs for token 2"),
        (put(None), "no logprobs for token 2"),
        (put({"5": -1.0}), "no logprobs for token 2"),
        (lambda rows: rows[:-1], "do not add up to the prompt"),
        (lambda rows: "all of them", "`prompt_logprobs` that are no list"),
    ],
)
def test_lies_in_the_other_form(server: OpenAI, change: Callable[[list[Any]], Any], reason: str):
    server.echoes = False
    backend = connect(server)
    server.wrong = table(change)
    with pytest.raises(UserError, match=reason):
        backend.score([ScoreRequest(context="the tin", continuation=" is in")])


@pytest.mark.parametrize(
    "changes",
    [
        {"choices": []},
        {"choices": "one"},
        {"choices": [1]},
        {"choices": [{}, {}]},
        {"choices": [{"text": None, "finish_reason": "stop"}]},
        {"choices": [{"text": "\ud800", "finish_reason": "stop"}]},
        {"choices": [{"text": "x", "finish_reason": "content_filter"}]},
        {"usage": None},
        {"usage": {"completion_tokens": -1}},
        {"usage": {"completion_tokens": 1e3}},
        {"usage": {"completion_tokens": 9}},
    ],
)
def test_answers_that_are_none(server: OpenAI, changes: dict[str, Any]):
    backend = connect(server)
    server.wrong = lambda _path, _body, right: {**right, **changes}
    with pytest.raises(UserError, match=server.address):
        backend.generate([GenerateRequest(prompt="the tin", max_tokens=8)])


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
    "drips": (drip, r"did not finish within 0.7 s .tried 2 times"),
    "drips at the start": (drip_endlessly, r"did not finish within 0.7 s .tried 2 times"),
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


def test_nobody_at_home():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=r"/v1` cannot be reached: connection refused .tried 3 times") as error:
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


# Laying tokens along a text.

letters = st.text("ab \u00e4\u4e2d\U0001f600", max_size=24)


@given(letters, st.data())
def test_tokens_of_any_cut_lie_where_they_were_cut(text: str, data: st.DataObject):
    """Cut anywhere between bytes; a token that holds part of a letter shows what UTF-8 decoders show of it."""
    raw = text.encode()
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=12))})
    parts = [raw[a:b] for a, b in pairwise(cuts)]
    found = spans([part.decode("utf-8", "replace") for part in parts], text)
    starts, whole = [0], True
    for part in parts:
        whole = whole and "\ufffd" not in part.decode("utf-8", "replace")
        starts.append(starts[-1] + len(part))
    if whole:
        exact = [len(raw[:start].decode()) for start in starts]
        assert found == list(pairwise(exact))
    elif found is not None:  # two blurred tokens in a row leave open where the next one lies, and then no is allowed
        assert found[-1][1] == len(text)


@pytest.mark.parametrize(
    ("pieces", "text", "expected"),
    [
        (["a", "b"], "ab", [(0, 1), (1, 2)]),
        (["<s>", "a", "b"], "ab", [(0, 0), (0, 1), (1, 2)]),
        (["the", "tin"], "the tin", [(0, 3), (3, 7)]),
        ([" the", " tin"], "the tin", [(0, 3), (3, 7)]),
        (["a", "\ufffd", "\ufffd", "b"], "a\u4e2db", [(0, 1), (1, 2), (1, 2), (2, 3)]),
        (["a", "bytes:\\xe4", "bytes:\\xb8\\xad"], "a\u4e2d", [(0, 1), (1, 2), (1, 2)]),
        (["a", "", "", "\u4e2d"], "a\u4e2d", [(0, 1), (1, 1), (1, 1), (1, 2)]),
        (["\ufffd", "b"], "\ufffdb", [(0, 1), (1, 2)]),
        (["a", "c"], "ab", None),
        (["a"], "ab", None),
        (["a", "b", "c"], "ab", None),
        (["a", "", "", "b"], "a   b", [(0, 1), (1, 4), (1, 4), (4, 5)]),
        (["a", "\ufffd", "c"], "abc", None),
        (["", "", ""], "abc", None),
        (["a", "\ufffd"], "a", None),
        (["a", "\ufffd"], "a" + "\u4e2d" * 20, None),
        (["x", "  ", "y"], "x    y", [(0, 1), (1, 3), (3, 6)]),
        (["x", " "], "x  ", [(0, 1), (1, 3)]),
        (["x"], "x y", None),
        (["x", "  "], "x ", None),
        ([], "a", None),
        ([], "", []),
    ],
)
def test_tokens_along_a_text(pieces: list[str], text: str, expected: list[tuple[int, int]] | None):
    assert spans(pieces, text) == expected


def test_tokens_of_sentencepiece_are_laid_where_they_belong():
    """By itself each token loses a space or is a byte of a letter; where the tokens of a context end is found still."""
    sentences = Path(__file__).read_text().splitlines()
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=written,
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        character_coverage=0.999,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())

    def alone(token: int) -> str:
        if tokenizer.is_byte(token):
            return bytes([int(tokenizer.id_to_piece(token)[3:5], 16)]).decode("utf-8", "replace")
        return str(tokenizer.decode([token]))

    for start in range(0, len(sentences), 40):
        text = "\n".join(sentences[start : start + 20]) + " na\u00efve \u4e2d\u6587\u3002 \U0001f600   ok"
        tokens = tokenizer.encode(text)
        places = spans(["<s>", *map(alone, tokens)], text)
        assert places is not None
        for border in range(1, len(text), 7):
            if text[border - 1].isspace() or any(a < border < b for a, b in places):
                continue  # where the context is asked for
            before = sum(a < border for a, _ in places[1:])
            assert tokens[:before] == tokenizer.encode(text[:border]), text[:border][-20:]
