"""Whether what a client was answered is what session.json expects."""

import json
from typing import Any

import jsonschema

from clients.answers import Answered, read
from clients.scripted import SCHEMA

CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
}
"""What the clients' libraries call a status."""


def check(steps: list[dict[str, Any]], results: dict[str, dict[str, Any]], absent: set[str]) -> None:
    """All steps of a client.

    Args:
        absent: steps that its library has no call for.
    """
    assert [step["name"] for step in steps] == list(results), "every step ran, in order"
    assert {name for name, result in results.items() if "absent" in result} == absent
    answered: dict[str, Answered] = {}
    wrong = []
    for step in steps:
        name = step["name"]
        if name in absent:
            continue
        try:
            if any(kind in results[name] for kind in ("reply", "events")):
                answered[name] = read(results[name])
            _check(step, results[name], answered)
        except (AssertionError, KeyError, ValueError, jsonschema.ValidationError) as error:
            wrong.append(f"{name}: {type(error).__name__} {error}: {str(results[name])[:1500]}")
    assert not wrong, "\n\n".join(wrong)


def _check(step: dict[str, Any], result: dict[str, Any], answered: dict[str, Answered]) -> None:
    expected, name = step["expect"], step["name"]
    assert ("error" in result) == ("error" in expected)
    for kind, value in expected.items():
        match kind:
            case "error":
                _check_error(value, result["error"])
            case "idle_within":
                assert result["idle"] < value
            case "parsed":
                jsonschema.validate(result["parsed"], SCHEMA)
            case "seconds":
                assert result["seconds"] >= value
            case _:
                _check_answer(kind, value, answered[name], answered)


def _check_answer(kind: str, value: Any, found: Answered, answered: dict[str, Answered]) -> None:
    first = found.answers[0] if found.answers else None
    if kind in {"names", "vectors"}:
        assert (found.names if kind == "names" else len(found.vectors)) == value
        return
    if kind == "same_as" and found.vectors:
        assert found.vectors == answered[value].vectors
        return
    assert first is not None
    match kind:
        case "reason":
            assert first.reason in value
        case "usage":
            assert found.usage is not None
            assert min(found.usage) > 0
        case "same_as" | "first_as":
            other = answered[value].answers[0]
            same = [call | {"id": ""} for call in first.calls] == [call | {"id": ""} for call in other.calls]
            assert (first.text, first.reason) == (other.text, other.reason)
            assert same, "the calls differ"
        case "differs_from":
            assert first.text != answered[value].answers[0].text
        case "answers":
            assert len(found.answers) == value
        case "tokens":
            assert found.usage is not None
            assert found.usage[1] == value
        case "text":
            assert first.text == value
        case "top_logprobs":
            assert first.logprobs
            assert all(own <= 0 and 1 <= told <= value + 1 for own, told in first.logprobs)
        case "schema":
            jsonschema.validate(json.loads(first.calls[0]["arguments"] if first.calls else first.text), value)
        case "called":
            assert [call["name"] for call in first.calls] == [value]
            assert first.calls[0]["id"]
            assert first.reason in {"tool_calls", "stop"}
        case "longer_prompt_than":
            other = answered[value].usage
            assert found.usage is not None
            assert other is not None
            assert found.usage[0] > other[0]
        case _:
            raise AssertionError(f"session.json expects `{kind}`, of which nothing is known")


def _check_error(expected: dict[str, Any], found: dict[str, Any]) -> None:
    assert found["status"] == expected["status"]
    if found.get("class") is not None:
        assert CLASSES[expected["status"]] in found["class"]
    body = found["body"]
    if body is None:  # LiteLLM keeps the body of some errors only
        return
    body = body.get("error", body)
    assert isinstance(body["message"], str)
    assert body["message"]
    for name, value in expected.items():
        if name != "status":
            assert body[name] == value
