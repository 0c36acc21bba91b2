"""A server behind HTTP: the model's own answers through it, and no belief in what cannot be true."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pocketphi.chat import Message
from pocketphi.errors import UserError
from pocketphi.runtime.backend import Backend, GenerateRequest, ScoreRequest
from pocketphi.runtime.endpoint_backend import EndpointBackend
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.writer import StopReason
from runtime.endpoints import SECRET, connect
from runtime.openai_server import OpenAI, Wrong, send

CONTEXTS = ["the thing in the tin", "an", "", "what is it?", "der B\u00e4r\u4e2d", "the th", "a  ", "tin:\n\n\t"]
CONTINUATIONS = [" is", " is another thing", "", "x", "the the the", "in", " \u4e2d\u6587 \U0001f600!", "\u4e2d"]
TALK = (Message("system", "be brief"), Message("user", "what is in the tin?"))
BEGUN = (*TALK, Message("assistant", "the th"))


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
    backend = connect(server)
    assert not backend.capabilities.logprobs
    with pytest.raises(UserError, match=f"cannot score texts: it answered {status}: Only no echo is supported"):
        backend.score([ScoreRequest(context="a", continuation="b")])


def failing(content: bytes, status: int) -> Wrong:
    """All but the list of models."""

    def wrong(path: str, _body: dict[str, Any], right: dict[str, Any]) -> Any:
        return right if path == "/models" else lambda request: send(request, content, status)

    return wrong


@pytest.mark.parametrize("usage", [None, {}, [], {"prompt_tokens": 7}])
def test_a_server_that_does_not_count(server: OpenAI, usage: Any):
    """How an answer ended depends on its length, and whether a begun one is gone on with on the prompt's."""
    backend = connect(server)
    server.wrong = lambda _path, _body, right: {**right, "usage": usage}
    with pytest.raises(UserError, match=r"does not tell, by `usage.completion_tokens`, how many tokens"):
        backend.generate([GenerateRequest(prompt="the tin", max_tokens=8)])
    server.wrong = lambda _path, _body, right: {**right, "usage": None}
    with pytest.raises(UserError, match=r"it does not tell, by `usage.prompt_tokens`, how long a prompt is"):
        backend.generate([GenerateRequest(prompt=BEGUN, max_tokens=3)])
    assert backend.score([ScoreRequest(context="the tin", continuation=" is")])[0].num_tokens, "needs no count"


@pytest.mark.parametrize("content", [b'{"error": {"message": "boom"}}', b'{"detail": "boom"}', b"boom\n"])
def test_the_servers_own_words_are_shown_whatever_it_is_asked(server: OpenAI, content: bytes):
    server.wrong = failing(content, 500)
    backend = connect(server)
    with pytest.raises(UserError, match=r"cannot score texts: it answered 500: boom .tried 2 times"):
        backend.score([ScoreRequest(context="a", continuation="b")])
    for prompt in ("a", TALK, BEGUN):
        with pytest.raises(UserError, match=f"`{server.address}` answered 500: boom .tried 3 times"):
            backend.generate([GenerateRequest(prompt=prompt, max_tokens=3)])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_not_asked_again(server: OpenAI, status: int):
    backend = connect(server)
    server.wrong = failing(b'{"message": "not this"}', status)
    server.seen.clear()
    with pytest.raises(UserError, match=rf"`{server.address}` answered {status}: not this(\n|$)"):
        backend.generate([GenerateRequest(prompt="a", max_tokens=3)])
    assert len(server.seen) == 1


def test_a_page_is_not_quoted(server: OpenAI):
    backend = connect(server)
    server.wrong = failing(b"<html><body>Bad Gateway</body></html>", 404)
    with pytest.raises(UserError, match=r"answered 404$"):
        backend.generate([GenerateRequest(prompt="a", max_tokens=3)])


def test_conversations_are_not_scored_without_their_logprobs(server: OpenAI):
    server.prompt_logprobs = False
    with pytest.raises(UserError, match="gives no logprobs for a conversation") as error:
        connect(server).score([ScoreRequest(context=TALK, continuation=" a")])
    assert "without the chat form" in str(error.value.hint)


def test_a_begun_answer_that_would_be_closed_is_not_sent(server: OpenAI):
    server.continues = False
    backend = connect(server)
    with pytest.raises(
        UserError, match=r"does not go on with an answer that has begun: one letter of it makes .* longer"
    ):
        backend.generate([GenerateRequest(prompt=BEGUN, max_tokens=3)])
    with pytest.raises(UserError, match="does not end a prompt where the answer does"):
        backend.score([ScoreRequest(context=BEGUN, continuation="e")])


@pytest.mark.parametrize("status", [400, 422])
def test_a_begun_answer_that_is_refused_is_refused_in_the_servers_words(server: OpenAI, status: int):
    def refuse(_path: str, body: dict[str, Any], right: dict[str, Any]) -> Any:
        if "continue_final_message" in body:
            return lambda request: send(request, b'{"error": "unknown field"}', status)
        return right

    backend = connect(server)
    server.wrong = refuse
    with pytest.raises(UserError, match=rf"an answer that has begun: it answered {status}: unknown field\n"):
        backend.generate([GenerateRequest(prompt=BEGUN, max_tokens=3)])


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
