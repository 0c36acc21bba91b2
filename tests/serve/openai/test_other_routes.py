"""Completions, embeddings, responses, tokens, models and counters, through the official client where it has them."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from openai import OpenAI

from serve.openai.conftest import Served

PROMPT = "the one in the"


def complete(client: OpenAI, **fields: Any) -> Any:
    return client.completions.create(**{"model": "tiny", "prompt": PROMPT, "max_tokens": 12, "seed": 3, **fields})


def test_a_completion_is_the_same_for_text_and_tokens_whole_and_streamed(server: Served, client: OpenAI) -> None:
    text = complete(client).choices[0].text
    assert complete(client, prompt=server.model.tokenizer.encode(PROMPT)).choices[0].text == text
    assert "".join(chunk.choices[0].text for chunk in complete(client, stream=True)) == text


def test_several_prompts_are_answered_as_each_alone(client: OpenAI) -> None:
    prompts = [PROMPT, "an", "a thin"]
    together = complete(client, prompt=prompts, n=2).choices
    assert [choice.index for choice in together] == list(range(6))
    for index, prompt in enumerate(prompts):
        alone = [choice.text for choice in complete(client, prompt=prompt, n=2).choices]
        assert [choice.text for choice in together[2 * index : 2 * index + 2]] == alone


def test_a_completion_is_short_unless_asked(client: OpenAI) -> None:
    assert complete(client, max_tokens=None).usage.completion_tokens <= 16


def test_logprobs_of_a_completion_tell_where_each_token_stands(client: OpenAI) -> None:
    choice = complete(client, logprobs=3, temperature=1.5).choices[0]
    told = choice.logprobs
    assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset) == 12
    assert all(len(top) <= 3 for top in told.top_logprobs)
    for token, offset in zip(told.tokens, told.text_offset, strict=True):
        assert token.startswith("bytes:") or choice.text[offset:].startswith(token)
    streamed = [chunk.choices[0].logprobs for chunk in complete(client, logprobs=3, temperature=1.5, stream=True)]
    pieces = [piece for piece in streamed if piece is not None]
    assert [token for piece in pieces for token in piece.tokens] == told.tokens
    assert [offset for piece in pieces for offset in piece.text_offset] == told.text_offset


def test_an_embedding_is_the_mean_of_the_hidden_states(server: Served, client: OpenAI) -> None:
    texts = ["the one", "tell me more " * 40, "x", "y", "an in the"]
    reply = client.embeddings.create(model="tiny", input=texts, encoding_format="float")
    for text, data in zip(texts, reply.data, strict=True):
        expected = server.model.hidden(server.model.tokenizer.encode(text)).mean(axis=0)
        np.testing.assert_allclose(np.array(data.embedding), expected, rtol=1e-5, atol=1e-6)
    assert reply.usage.prompt_tokens == sum(len(server.model.tokenizer.encode(text)) for text in texts)


def test_an_embedding_in_base64_holds_the_same_numbers(server: Served, client: OpenAI) -> None:
    plain = client.embeddings.create(model="tiny", input="the", encoding_format="float", dimensions=72)
    body = {"input": server.model.tokenizer.encode("the"), "encoding_format": "base64"}
    packed = httpx.post(f"{server.url}/v1/embeddings", json=body).json()["data"][0]["embedding"]
    numbers = np.frombuffer(base64.b64decode(packed), "<f4")
    np.testing.assert_array_equal(numbers, np.array(plain.data[0].embedding, np.float32))
    by_default = client.embeddings.create(model="tiny", input="the")  # the client asks for base64 and decodes it
    np.testing.assert_array_equal(numbers, np.array(by_default.data[0].embedding, np.float32))


def test_a_response_says_what_a_chat_says(client: OpenAI) -> None:
    asked: Any = {"model": "tiny", "max_output_tokens": 10, "extra_body": {"seed": 5}}
    response = client.responses.create(instructions="be the one", input="tell me", **asked)
    chat = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "system", "content": "be the one"}, {"role": "user", "content": "tell me"}],
        max_tokens=10,
        seed=5,
    )
    assert response.output_text == chat.choices[0].message.content
    assert chat.usage is not None
    assert response.usage is not None
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    items: Any = [
        {"role": "developer", "content": "be the one"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "tell me"}]},
    ]
    assert client.responses.create(input=items, **asked).output_text == response.output_text


def test_the_events_of_a_response_come_in_order_and_add_up(client: OpenAI) -> None:
    asked: Any = {"model": "tiny", "input": "tell me", "max_output_tokens": 6, "extra_body": {"seed": 5}}
    events: list[Any] = list(client.responses.create(stream=True, **asked))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = kinds.count("output_text.delta")
    assert deltas > 0
    assert kinds == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *["output_text.delta"] * deltas,
        *("output_text.done", "content_part.done", "output_item.done", "incomplete"),
    ]
    text = "".join(event.delta for event in events if event.type.endswith("delta"))
    last = events[-1].response
    assert text == last.output_text == client.responses.create(**asked).output_text
    assert last.incomplete_details.reason == "max_output_tokens"
    assert len({event.item_id for event in events if hasattr(event, "item_id")}) == 1


def test_a_response_that_ends_by_itself_is_completed(server: Served, client: OpenAI) -> None:
    end = str(server.model.tokenizer.special_ids["<|im_end|>"])
    response = client.responses.create(model="tiny", input="a", extra_body={"logit_bias": {end: 100}})
    assert (response.status, response.output_text, len(response.output)) == ("completed", "", 1)


def test_a_response_tells_logprobs_if_they_are_included(client: OpenAI) -> None:
    include: Any = ["message.output_text.logprobs"]
    asked: Any = {"model": "tiny", "input": "a", "include": include, "top_logprobs": 2, "max_output_tokens": 4}
    response: Any = client.responses.create(**asked)
    assert [len(each.top_logprobs) for each in response.output[0].content[0].logprobs] == [2] * 4


@pytest.mark.parametrize(
    ("structured", "text"),
    [
        ({"regex": "[a-c]{4}x"}, None),
        ({"choice": ["yes"]}, "yes"),
        ({"grammar": 'start: "a" ("b" | "c")'}, None),
        ({"json": {"const": [1, "x"]}}, None),
    ],
)
def test_a_structured_output_keeps_to_its_form(client: OpenAI, structured: dict[str, Any], text: str | None) -> None:
    choice = complete(client, extra_body={"structured_outputs": structured}, max_tokens=40).choices[0]
    assert choice.finish_reason == "stop"
    assert text is None or choice.text == text


def test_a_schema_keeps_a_chat_and_a_response_to_it(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}, "b": {"enum": ["x", "y"]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    format_: Any = {"name": "pair", "schema": schema}
    messages: Any = [{"role": "user", "content": "a"}]
    wanted: Any = {"type": "json_schema", "json_schema": format_}
    chat = client.chat.completions.create(model="tiny", messages=messages, response_format=wanted)
    text: Any = {"format": {"type": "json_schema", **format_}}
    response = client.responses.create(model="tiny", input="a", text=text)
    for answer in (chat.choices[0].message.content, response.output_text):
        value = httpx.Response(200, text=answer or "").json()
        assert value["a"] in range(10)
        assert value["b"] in {"x", "y"}


def test_tokens_go_there_and_back(server: Served) -> None:
    text = "the one <|im_end|> ünï 한국"
    reply = httpx.post(f"{server.url}/tokenize", json={"prompt": text, "return_token_strs": True}).json()
    assert reply["tokens"] == server.model.tokenizer.encode(text)
    assert reply["count"] == len(reply["tokens"]) == len(reply["token_strs"])
    assert reply["max_model_len"] == 4096
    assert httpx.post(f"{server.url}/detokenize", json={"tokens": reply["tokens"]}).json() == {"prompt": text}
    ended = [server.model.tokenizer.special_ids["<|im_end|>"]]
    assert httpx.post(f"{server.url}/detokenize", json={"tokens": ended}).json() == {"prompt": "<|im_end|>"}


def test_models_are_listed(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == "tiny"
    assert client.models.retrieve("tiny") == model
    assert model.max_model_len == 4096  # type: ignore[attr-defined]


def test_counters_have_vllms_names_and_count(serve: Callable[..., Served]) -> None:
    server = serve()
    usage = complete(server.client, prompt=PROMPT * 9, logit_bias={"65": 100}).usage
    assert list(complete(server.client, prompt=PROMPT * 9, stream=True))
    text = httpx.get(f"{server.url}/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    def value(name: str, **labels: str) -> float:
        told = {"engine": "0", **labels, "model_name": "tiny"}
        inside = ",".join(f'{key}="{told[key]}"' for key in sorted(told))
        return float(values[f"vllm:{name}{{{inside}}}"])

    assert value("num_requests_running") == value("num_requests_waiting") == 0
    assert 0 <= value("kv_cache_usage_perc") <= 1
    assert value("prompt_tokens_total") == value("prefix_cache_queries_total") == 2 * usage.prompt_tokens
    assert value("prefix_cache_hits_total") > 0
    assert value("generation_tokens_total") >= 13
    assert value("request_success_total", finished_reason="length") >= 1
    assert value("request_success_total", finished_reason="abort") == 0
    for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds"):
        assert value(f"{name}_count") == 2
    assert value("inter_token_latency_seconds_count") >= 11
