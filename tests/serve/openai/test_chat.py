"""Chat completions through the official client, against the session that the terminal uses."""

import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import OpenAI

from pocketphi.chat import Message
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.stopping import StopFinder
from serve.openai.conftest import Served

ASKED: list[Any] = [{"role": "system", "content": "be the one"}, {"role": "user", "content": "tell me more"}]
MESSAGES = [Message("system", "be the one"), Message("user", "tell me more")]


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "tiny", "messages": ASKED, "max_tokens": 24, "seed": 7, **fields})


def text(client: OpenAI, **fields: Any) -> str:
    return str(ask(client, **fields).choices[0].message.content)


def streamed(client: OpenAI, **fields: Any) -> str:
    chunks = ask(client, stream=True, **fields)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_answer_is_that_of_a_session_with_the_same_seed(server: Served, client: OpenAI) -> None:
    options = SamplingOptions(temperature=0.9, top_p=1.0, seed=7)
    with server.model.session(messages=MESSAGES[:1], sampling=options) as session:
        expected = "".join(session.reply("tell me more", max_tokens=24))
    assert text(client, temperature=0.9, top_p=1) == expected
    assert streamed(client, temperature=0.9, top_p=1) == expected


def test_a_stream_has_openais_shape(server: Served) -> None:
    body = {"messages": ASKED, "max_tokens": 6, "stream": True, "stream_options": {"include_usage": True}}
    reply = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = reply.text.split("\n\n")
    assert all(event.startswith("data: ") for event in events[:-1])
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [httpx.Response(200, text=event.removeprefix("data: ")).json() for event in events[:-2]]
    assert {(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks} == {
        (chunks[0]["id"], chunks[0]["created"], "chat.completion.chunk")
    }
    first, *pieces, last, usage = chunks
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert all(set(chunk["choices"][0]["delta"]) == {"content"} for chunk in pieces)
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 6


def test_usage_counts_the_prompt_once_and_every_answer(server: Served, client: OpenAI) -> None:
    usage = ask(client, n=3, max_tokens=5).usage
    tokens = httpx.post(f"{server.url}/tokenize", json={"messages": ASKED}).json()
    assert usage.prompt_tokens == tokens["count"]
    assert usage.completion_tokens == 15
    assert usage.total_tokens == usage.prompt_tokens + 15
    again = ask(client, max_tokens=5).usage
    assert 0 < again.prompt_tokens_details.cached_tokens < again.prompt_tokens


def test_the_first_of_several_answers_is_that_of_one(client: OpenAI) -> None:
    several = [choice.message.content for choice in ask(client, n=4, temperature=1).choices]
    assert several[0] == text(client, temperature=1)
    assert len(set(several)) == 4
    assert several == [choice.message.content for choice in ask(client, n=4, temperature=1).choices]


def test_many_answers_need_no_more_room_than_one(serve: Callable[..., Served]) -> None:
    server = serve(parallel=1, max_waiting=0)
    several = ask(server.client, n=8, temperature=1).choices
    assert len({choice.message.content for choice in several}) == 8
    assert len(server.client.embeddings.create(model="tiny", input=["a"] * 40).data) == 40


def test_streams_of_several_answers_join_to_the_same_texts(client: OpenAI) -> None:
    texts = ["", "", ""]
    for chunk in ask(client, n=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [choice.message.content for choice in ask(client, n=3).choices]


def test_without_a_seed_answers_differ(client: OpenAI) -> None:
    assert len({text(client, seed=None, temperature=2, top_p=1) for _ in range(3)}) == 3


@pytest.mark.parametrize("place", range(1, 20, 3))
@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_stop_text_ends_the_answer_wherever_its_tokens_begin(client: OpenAI, place: int, length: int) -> None:
    whole = text(client)
    stop = whole[place : place + length]
    expected = StopFinder([stop])
    before = expected.push(whole)
    assert text(client, stop=stop) == before
    assert streamed(client, stop=["never comes", stop]) == before
    assert ask(client, stop=stop).choices[0].finish_reason == "stop"


def test_logprobs_are_those_of_the_model(server: Served, client: OpenAI) -> None:
    choice = ask(client, logprobs=True, top_logprobs=4, logit_bias={"65": 3}, max_tokens=8).choices[0]
    content = choice.logprobs.content
    prompt = httpx.post(f"{server.url}/tokenize", json={"messages": ASKED}).json()["tokens"]
    assert len(content) == 8
    for each in content:
        assert len(each.top_logprobs) == 4
        assert [top.logprob for top in each.top_logprobs] == sorted(
            (t.logprob for t in each.top_logprobs), reverse=True
        )
        assert sum(math.exp(top.logprob) for top in each.top_logprobs) < 1.0001
        assert all(each.logprob == top.logprob for top in each.top_logprobs if top.bytes == each.bytes)
    logits = server.model.logits(prompt)[-1].astype("float64")
    logprobs = logits - logits.max() - math.log(sum(math.exp(value - logits.max()) for value in logits))
    assert content[0].top_logprobs[0].logprob == pytest.approx(logprobs.max(), abs=1e-4)


def test_streamed_logprobs_are_the_same(client: OpenAI) -> None:
    whole = ask(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    chunks = list(ask(client, logprobs=True, top_logprobs=2, stream=True))
    pieces = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    assert [token for piece in pieces for token in piece.content] == whole


def test_a_bias_forces_and_forbids(server: Served, client: OpenAI) -> None:
    (wanted,) = server.model.tokenizer.encode("q")
    assert text(client, logit_bias={str(wanted): 100}) == "q" * 24
    first = ask(client, logprobs=True, max_tokens=1, temperature=0).choices[0].logprobs.content[0]
    banned = {str(token): -100.0 for token in range(256) if bytes(first.bytes) == server.model.tokenizer.piece(token)}
    assert (
        ask(client, logprobs=True, max_tokens=1, temperature=0, logit_bias=banned).choices[0].logprobs.content[0].bytes
        != first.bytes
    )


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty", "repetition_penalty"])
def test_a_penalty_is_that_of_the_engine(server: Served, client: OpenAI, penalty: str) -> None:
    greedy: Any = {"temperature": 0.0, "max_tokens": 48}
    options = SamplingOptions(temperature=0.0, top_p=0.9, **{penalty: 1.9})  # type: ignore[arg-type]
    with server.model.session(messages=MESSAGES[:1], sampling=options) as session:
        expected = "".join(session.reply("tell me more", max_tokens=48))
    assert text(client, **greedy, extra_body={penalty: 1.9}) == expected
    assert text(client, **greedy) != expected


def test_max_completion_tokens_wins(client: OpenAI) -> None:
    assert ask(client, max_completion_tokens=3).usage.completion_tokens == 3
    assert ask(client, max_tokens=4).usage.completion_tokens == 4


def test_content_may_come_in_parts(client: OpenAI) -> None:
    parts: list[Any] = [{"type": "text", "text": "tell"}, {"type": "text", "text": "me"}]
    split = [{"role": "user", "content": parts}]
    joined = [{"role": "user", "content": "tell\nme"}]
    assert text(client, messages=split) == text(client, messages=joined)
    developer = [{**ASKED[0], "role": "developer"}, ASKED[1]]
    assert text(client, messages=developer) == text(client)


def test_a_begun_answer_goes_on(server: Served, client: OpenAI) -> None:
    whole = text(client, temperature=0)
    begun = [*ASKED, {"role": "assistant", "content": "the one"}]
    extra = {"continue_final_message": True, "add_generation_prompt": False}
    tokens = httpx.post(f"{server.url}/tokenize", json={"messages": begun, **extra}).json()["tokens"]
    opened = httpx.post(f"{server.url}/tokenize", json={"messages": ASKED}).json()["tokens"]
    assert tokens == opened + server.model.tokenizer.encode("the one")
    assert text(client, messages=begun, temperature=0, extra_body=extra) != whole


def test_a_model_that_ends_its_turn_stops_and_one_that_may_not_goes_on(server: Served, client: OpenAI) -> None:
    end = str(server.model.tokenizer.special_ids["<|im_end|>"])
    ended = ask(client, logit_bias={end: 100}).choices[0]
    assert (ended.finish_reason, ended.message.content) == ("stop", "")
    going = ask(client, logit_bias={end: 100}, extra_body={"ignore_eos": True})
    assert going.usage.completion_tokens == 24
