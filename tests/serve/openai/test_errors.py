"""Wrong requests: each refused with OpenAI's error, naming the field, and nothing run for it."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pocketphi.runtime.scheduler.job import QueueFullError, ShuttingDownError
from pocketphi.serve.openai import ServeOptions
from pocketphi.serve.openai.other_requests import MAX_PROMPTS
from serve.openai.conftest import Served

USER = [{"role": "user", "content": "a"}]
DEEP: dict[str, Any] = {}
for _ in range(60):
    DEEP = {"properties": {"a": DEEP}}


def refused(server: Served, body: Any, path: str = "/v1/chat/completions", status: int = 400) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = httpx.post(server.url + path, content=raw, headers={"content-type": "application/json"}, timeout=20)
    assert reply.status_code == status, reply.text
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["message"][0].islower() or error["message"][0] == "`"
    return error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'{"messages": [',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"messages": [], "messages": []}',
        b'{"messages": [{"role": "user", "role": "user", "content": "a"}]}',
        b'{"model": "\xff\xfe"}',
        b'{"model": "\\ud800"}',
        b"\x1f\x8b\x08\x00\x00",
        b'{"temperature": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": 1e999}',
        b'{"seed": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(server: Served, body: bytes) -> None:
    assert refused(server, body)["code"] == "invalid_json"


def test_a_body_that_is_too_long_is_refused(server: Served) -> None:
    assert refused(server, b" " * (5 << 20), status=413)["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 16384),
        ("n", 0),
        ("n", True),
        ("n", 1.5),
        ("best_of", 2),
        ("max_tokens", -1),
        ("max_tokens", 0),
        ("max_tokens", 2**31),
        ("max_tokens", "5"),
        ("max_tokens", True),
        ("max_completion_tokens", 2**63),
        ("temperature", "0.5"),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", True),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("top_k", 2**31),
        ("min_p", 2),
        ("n_discard", -1),
        ("n_keep", 4),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("repetition_penalty", 0),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {"999999": 1}),
        ("logit_bias", {"one": 1}),
        ("logit_bias", {str(i): 1 for i in range(1025)}),
        ("stop", [f"stop {i}" for i in range(10_000)]),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", 3),
        ("stop", "x" * 2000),
        ("seed", 1.5),
        ("seed", 2**64),
        ("logprobs", 3),
        ("top_logprobs", 21),
        ("top_logprobs", 2),
        ("stream", "yes"),
        ("stream_options", {"include_usage": 1}),
        ("messages", []),
        ("messages", None),
        ("messages", USER * 10_000),
        ("messages", "hello"),
        ("messages", [{"role": "user", "content": None}]),
        ("messages", [{"role": "user"}]),
        ("messages", [{"role": "robot", "content": "a"}]),
        ("messages", [{"content": "a"}]),
        ("messages", [{"role": "user", "content": []}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/"}}]}]),
        ("messages", [{"role": "user", "content": "a" * 5_000}]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": "retrieval"}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "missing"}}),
        ("response_format", {"type": "xml"}),
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "thing"}}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": DEEP}}),
        ("structured_outputs", {}),
        ("structured_outputs", {"regex": "a", "choice": ["a"]}),
        ("structured_outputs", {"regex": "(a"}),
        ("structured_outputs", {"grammar": "start: nothing"}),
        ("audio", {"voice": "alloy"}),
        ("modalities", ["text", "audio"]),
        ("functions", []),
        ("function_call", "auto"),
        ("prompt_logprobs", 1),
    ],
)
def test_a_wrong_field_is_named(server: Served, field: str, value: Any) -> None:
    began = time.monotonic()
    error = refused(server, {"messages": USER, field: value})
    assert (error["param"] or "").startswith(field)
    assert error["type"] == "invalid_request_error"
    assert time.monotonic() - began < 2
    assert server.scheduler.stats().running == 0


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {}, "prompt"),
        ("/v1/completions", {"prompt": ""}, "prompt"),
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/v1/completions", {"prompt": [True]}, "prompt[0]"),
        ("/v1/completions", {"prompt": [99_999]}, "prompt"),
        ("/v1/completions", {"prompt": ["a"] * (MAX_PROMPTS + 1)}, "prompt"),
        ("/v1/completions", {"prompt": ["a"] * 8, "n": 8}, "n"),
        ("/v1/completions", {"prompt": "a" * 5_000}, "prompt"),
        ("/v1/completions", {"prompt": "a", "echo": True}, "echo"),
        ("/v1/completions", {"prompt": "a", "suffix": "b"}, "suffix"),
        ("/v1/completions", {"prompt": "a", "logprobs": 21}, "logprobs"),
        ("/v1/completions", {"prompt": "a", "logprobs": True}, "logprobs"),
        ("/v1/embeddings", {"input": ""}, "input"),
        ("/v1/embeddings", {"input": ["a", ""]}, "input[1]"),
        ("/v1/embeddings", {"input": "a", "dimensions": 8}, "dimensions"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ("/v1/embeddings", {"input": "a" * 5_000}, "input"),
        ("/v1/responses", {"input": []}, "input"),
        ("/v1/responses", {"input": "a", "previous_response_id": "resp_1"}, "previous_response_id"),
        ("/v1/responses", {"input": [{"type": "computer_call"}]}, "input[0].type"),
        ("/v1/responses", {"input": "a" * 5_000}, "input"),
        ("/v1/responses", {"input": "a", "background": True}, "background"),
        ("/tokenize", {"messages": []}, "messages"),
        ("/tokenize", {}, None),
        ("/detokenize", {"tokens": [99_999]}, "tokens[0]"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
    ],
)
def test_other_routes_name_the_field_too(server: Served, path: str, body: Any, param: str | None) -> None:
    assert refused(server, body, path)["param"] == param


def test_a_prompt_that_is_too_long_is_told_by_how_much(server: Served) -> None:
    error = refused(server, {"messages": [{"role": "user", "content": "a" * 5_000}]})
    assert error["code"] == "context_length_exceeded"
    assert "`5019`" in error["message"]
    assert "`4096`" in error["message"]


@pytest.mark.parametrize(
    "name", ["gpt-4", "../tiny", "http://example.org/x.pocket", "/etc/passwd", "tiny\n\x1b[2J", ""]
)
def test_an_unknown_model_is_not_found_and_nothing_is_opened(server: Served, name: str) -> None:
    for path, body in (("/v1/chat/completions", {"messages": USER}), ("/v1/embeddings", {"input": "a"})):
        error = refused(server, {**body, "model": name}, path, status=404)
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert error["message"].isprintable()


def test_an_absent_model_is_the_first(server: Served) -> None:
    reply = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": USER, "max_tokens": 1})
    assert reply.json()["model"] == "tiny"


def test_an_integer_may_be_written_as_javascript_might(server: Served) -> None:
    body = b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 3.0, "ignore_eos": true}'
    headers = {"content-type": "application/json"}
    reply = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers)
    assert reply.json()["usage"]["completion_tokens"] == 3
    assert refused(server, body.replace(b"3.0", b"3.5"))["param"] == "max_tokens"


def test_unknown_fields_are_ignored(server: Served) -> None:
    body = {"messages": USER, "max_tokens": 1, "reasoning_effort": "low", "store": True, "metadata": {"a": "b"}}
    assert httpx.post(f"{server.url}/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405), ("GET", "/v2/models", 404)],
)
def test_other_paths_and_methods_have_the_same_shape(server: Served, method: str, path: str, status: int) -> None:
    reply = httpx.request(method, server.url + path)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert status != 405 or reply.headers["allow"]


def test_a_full_line_is_refused_with_a_time(serve: Callable[..., Served]) -> None:
    server = serve(parallel=1, max_waiting=0)
    body = {"messages": USER, "stream": True, "ignore_eos": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        reply = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": USER})
        assert reply.status_code == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["error"]["type"] == "rate_limit_error"
        stream.close()


def test_a_request_that_takes_too_long_ends(serve: Callable[..., Served]) -> None:
    server = serve(options=ServeOptions(request_seconds=0.05))
    long = {"messages": USER, "ignore_eos": True, "n": 8}
    assert refused(server, long, status=503)["code"] == "timeout"
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json={**long, "stream": True}) as stream:
        lines = [line for line in stream.iter_lines() if line]
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "timeout"
    assert "data: [DONE]" not in lines
    deadline = time.monotonic() + 1
    while server.scheduler.stats().running:
        assert time.monotonic() < deadline


def test_a_server_that_shuts_down_says_so(serve: Callable[..., Served]) -> None:
    server = serve()
    body = {"messages": USER, "stream": True, "ignore_eos": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        first = next(lines)
        server.scheduler.close()
        last = [first, *(line for line in lines if line)][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert refused(server, {"messages": USER}, status=503)["code"] == "shutting_down"


def test_what_nobody_foresaw_shows_nothing_of_the_inside(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(server.scheduler, "submit", fail)
    error = refused(server, {"messages": USER}, status=500)
    assert error["type"] == "server_error"
    assert "secret" not in json.dumps(error)


def test_the_schedulers_refusals_have_their_status() -> None:
    from pocketphi.serve.openai.errors import ApiError

    assert ApiError.of(QueueFullError(waiting=3, retry_after_seconds=9)).headers == {"Retry-After": "9"}
    assert ApiError.of(ShuttingDownError()).status == 503
