"""Tools through the official client: a call that is asked for comes, in every form of answer."""

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI

from serve.openai.conftest import Served

USER: list[Any] = [{"role": "user", "content": "what is in the tin?"}]
SCHEMA = {
    "type": "object",
    "properties": {"tin": {"enum": ["red", "blue"]}, "deep": {"type": "boolean"}},
    "required": ["tin", "deep"],
    "additionalProperties": False,
}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "Looks.", "parameters": SCHEMA, **fields}


TOOLS: list[Any] = [{"type": "function", "function": function(name)} for name in ("look", "listen")]


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(
        **{"model": "tiny", "messages": USER, "tools": TOOLS, "seed": 5, "max_tokens": 200, **fields}
    )


def check(call: Any, *names: str) -> None:
    assert call.function.name in names
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"tin", "deep"}
    assert arguments["tin"] in {"red", "blue"}


@pytest.mark.parametrize("parallel", [True, False])
def test_a_required_call_is_made(client: OpenAI, parallel: bool) -> None:
    choice = ask(client, tool_choice="required", parallel_tool_calls=parallel).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    calls = choice.message.tool_calls
    assert parallel or len(calls) == 1
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        check(call, "look", "listen")


def test_a_named_call_is_made(client: OpenAI) -> None:
    wanted: Any = {"type": "function", "function": {"name": "listen"}}
    for call in ask(client, tool_choice=wanted).choices[0].message.tool_calls:
        check(call, "listen")


def test_a_streamed_call_adds_up_to_the_same(client: OpenAI) -> None:
    asked: Any = {"tool_choice": "required", "parallel_tool_calls": False}
    (whole,) = ask(client, **asked).choices[0].message.tool_calls
    name, arguments, ids, reasons = "", "", [], []
    for chunk in ask(client, stream=True, **asked):
        choice = chunk.choices[0]
        reasons.append(choice.finish_reason)
        assert not choice.delta.content
        for call in choice.delta.tool_calls or []:
            assert call.index == 0
            ids += [call.id] if call.id else []
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    assert (name, arguments) == (whole.function.name, whole.function.arguments)
    assert len(ids) == 1
    assert reasons[-1] == "tool_calls"
    assert set(reasons[:-1]) == {None}


def test_no_tool_is_offered_to_who_may_not_call(server: Served, client: OpenAI) -> None:
    choice = ask(client, tool_choice="none", max_tokens=20).choices[0]
    assert choice.message.tool_calls is None
    with_tools = httpx.post(f"{server.url}/tokenize", json={"messages": USER, "tools": TOOLS}).json()
    without = httpx.post(f"{server.url}/tokenize", json={"messages": USER}).json()
    assert ask(client, tool_choice="none", max_tokens=1).usage.prompt_tokens == without["count"]
    assert ask(client, max_tokens=1).usage.prompt_tokens == with_tools["count"] > without["count"]


def test_results_go_back_to_the_model(client: OpenAI) -> None:
    call = ask(client, tool_choice="required", parallel_tool_calls=False).choices[0].message.tool_calls[0]
    told: list[Any] = [
        *USER,
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "a mouse"},
    ]
    first = ask(client, messages=told, max_tokens=10).usage.prompt_tokens
    told[-1]["content"] = "a very large mouse"
    assert ask(client, messages=told, max_tokens=10).usage.prompt_tokens > first


def test_a_result_without_its_call_is_refused(server: Served) -> None:
    messages = [*USER, {"role": "tool", "tool_call_id": "call_1", "content": "a mouse"}]
    reply = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": messages, "tools": TOOLS})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "messages"


def test_a_strict_schema_that_cannot_be_kept_to_is_refused(server: Served) -> None:
    odd = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    body = {"messages": USER, "max_tokens": 5}
    for strict, status in ((True, 400), (None, 200)):
        tools = [{"type": "function", "function": function("look", parameters=odd, strict=strict)}]
        reply = httpx.post(f"{server.url}/v1/chat/completions", json={**body, "tools": tools})
        assert reply.status_code == status
        assert status == 200 or reply.json()["error"]["param"] == "tools"


def test_a_response_calls_tools_in_its_own_events(client: OpenAI) -> None:
    tools: Any = [{"type": "function", **function(name)} for name in ("look", "listen")]
    asked: Any = {"model": "tiny", "input": "what is in the tin?", "tools": tools, "tool_choice": "required"}
    asked |= {"parallel_tool_calls": False, "max_output_tokens": 200, "extra_body": {"seed": 5}}
    (item,) = client.responses.create(**asked).output
    assert (item.type, item.status) == ("function_call", "completed")
    events: list[Any] = list(client.responses.create(stream=True, **asked))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert list(dict.fromkeys(kinds)) == [
        *("created", "in_progress", "output_item.added", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done", "completed"),
    ]
    arguments = "".join(event.delta for event in events if event.type.endswith("delta"))
    assert arguments == item.arguments == events[-1].response.output[0].arguments
    told: Any = [
        {"role": "user", "content": "what is in the tin?"},
        item.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": item.call_id, "output": "a mouse"},
    ]
    again = client.responses.create(**{**asked, "input": told, "tool_choice": "none", "max_output_tokens": 5})
    assert again.output[0].type == "message"


def test_two_tools_of_one_name_are_refused_by_both_routes(server: Served) -> None:
    chat = {"messages": USER, "tools": [TOOLS[0], TOOLS[0]]}
    response = {"input": "a", "tools": [{"type": "function", **function("look")}] * 2}
    for path, body in (("/v1/chat/completions", chat), ("/v1/responses", response)):
        reply = httpx.post(server.url + path, json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "tools"
