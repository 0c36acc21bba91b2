"""What a client was answered, in one form: whole replies and streams, chats, completions, responses and vectors.

Takes JSON as the server writes it or as a library gives it back, which adds fields of nothing and keeps the rest.
"""

import base64
import json
import struct
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """One of an answer's choices."""

    text: str = ""
    reason: str | None = None
    calls: list[dict[str, str]] = field(default_factory=list)
    """Each with `id`, `name` and `arguments`."""
    logprobs: list[tuple[float, int]] = field(default_factory=list)
    """For each token: its own, and how many others are told."""


@dataclass
class Answered:
    """All of a request's answers."""

    answers: list[Answer]
    usage: tuple[int, int] | None = None
    """Tokens of the prompt and of the answers."""
    vectors: list[list[float]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def read(result: dict[str, Any]) -> Answered:
    """A step's result."""
    if "events" in result:
        return _streamed(result["events"])
    reply = result["reply"]
    if "output" in reply:
        return _response(reply)
    usage = _usage(reply.get("usage"))
    if "choices" in reply:
        return Answered([_choice(choice) for choice in reply["choices"]], usage)
    if "data" not in reply:
        return Answered([], names=[reply["id"]])
    data = reply["data"]
    if data and "embedding" in data[0]:
        return Answered([], usage, vectors=[_vector(each["embedding"]) for each in data])
    return Answered([], names=[each["id"] for each in data])


def _streamed(events: list[dict[str, Any]]) -> Answered:
    if "type" in events[0]:
        return _streamed_response(events)
    found = Answered([])
    for event in events:
        found.usage = _usage(event.get("usage")) or found.usage
        for choice in event["choices"]:
            while len(found.answers) <= choice["index"]:
                found.answers.append(Answer())
            _join(found.answers[choice["index"]], choice)
    return found


def _join(answer: Answer, choice: dict[str, Any]) -> None:
    delta = choice.get("delta") or {}
    answer.text += delta.get("content") or choice.get("text") or ""
    for call in delta.get("tool_calls") or []:
        while len(answer.calls) <= call["index"]:
            answer.calls.append({"id": "", "name": "", "arguments": ""})
        whole, function = answer.calls[call["index"]], call.get("function") or {}
        whole["id"] += call.get("id") or ""
        whole["name"] += function.get("name") or ""
        whole["arguments"] += function.get("arguments") or ""
    answer.logprobs += _logprobs(choice.get("logprobs"))
    answer.reason = choice.get("finish_reason") or answer.reason


def _streamed_response(events: list[dict[str, Any]]) -> Answered:
    """The deltas must add up to what the last event tells as a whole."""
    assert all(event.get("sequence_number", number) == number for number, event in enumerate(events))
    whole = _response(events[-1]["response"])
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    kind = "response.function_call_arguments.delta"
    arguments = "".join(event["delta"] for event in events if event["type"] == kind)
    assert text == whole.answers[0].text
    assert arguments == "".join(call["arguments"] for call in whole.answers[0].calls)
    return whole


def _response(reply: dict[str, Any]) -> Answered:
    answer = Answer(reason={"completed": "stop", "incomplete": "length"}.get(reply["status"], reply["status"]))
    for item in reply["output"]:
        if item["type"] == "function_call":
            answer.calls.append({"id": item["call_id"], "name": item["name"], "arguments": item["arguments"]})
        for part in item.get("content") or []:
            answer.text += part["text"]
    return Answered([answer], _usage(reply.get("usage")))


def _choice(choice: dict[str, Any]) -> Answer:
    answer = Answer(reason=choice["finish_reason"], logprobs=_logprobs(choice.get("logprobs")))
    message = choice.get("message")
    if message is None:
        answer.text = choice["text"]
        return answer
    answer.text = message.get("content") or ""
    for call in message.get("tool_calls") or []:
        answer.calls.append({"id": call["id"], **{name: call["function"][name] for name in ("name", "arguments")}})
    return answer


def _logprobs(told: dict[str, Any] | None) -> list[tuple[float, int]]:
    if not told:
        return []
    if told.get("content") is not None:
        return [(each["logprob"], len(each["top_logprobs"])) for each in told["content"]]
    if told.get("token_logprobs") is None:
        return []
    return [(own, len(top)) for own, top in zip(told["token_logprobs"], told["top_logprobs"], strict=True)]


def _usage(usage: dict[str, Any] | None) -> tuple[int, int] | None:
    if not usage:
        return None
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    answer = usage.get("completion_tokens", usage.get("output_tokens", 0)) or 0
    assert prompt + answer == usage["total_tokens"]
    return prompt, answer


def _vector(told: str | list[float]) -> list[float]:
    if isinstance(told, list):
        return told
    raw = base64.b64decode(told)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def events_of(text: str) -> list[dict[str, Any]]:
    """Server-sent events as they come over the wire."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
