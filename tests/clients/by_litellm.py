"""Runs the session with LiteLLM, to which the server is `openai/` at another address."""

import asyncio
import json
import sys
import time
from typing import Any, Literal

import litellm
import openai
from idle import seconds_until_idle
from pydantic import BaseModel


class GetWeather(BaseModel):
    """The weather of a city."""

    city: Literal["Oslo", "Rome", "Lima"]
    days: Literal[1, 3, 7]
    hourly: bool


def call(step: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    request = {**step["request"], **account, "model": f"openai/{step['request'].get('model')}"}
    if step["extra"]:
        request["extra_body"] = step["extra"]
    match step["call"]:
        case "models" | "model":
            return {"absent": "LiteLLM lists the models that it knows itself"}
        case "chat parse tool" | "response parse":
            return {"absent": "LiteLLM has no such helper"}
        case "response" if request.get("stream"):
            return {"absent": "LiteLLM asks for the whole response of a model that it does not know, and cuts it up"}
        case "chat parse":
            reply = litellm.completion(**request, response_format=GetWeather)
            parsed = GetWeather.model_validate_json(reply.choices[0].message.content)
            return {"reply": reply.model_dump(warnings="none"), "parsed": parsed.model_dump()}
        case "chat stream helper":
            return {"reply": asyncio.run(built(request)).model_dump(warnings="none")}
        case "chat leave":
            stream = litellm.completion(**request)
            for _ in range(3):
                next(stream)
            stream.completion_stream.close()
            return {"idle": seconds_until_idle(account["api_base"], account["api_key"])}
    create = {
        "chat": litellm.completion,
        "completion": litellm.text_completion,
        "embedding": litellm.embedding,
        "response": litellm.responses,
    }[step["call"]]
    reply = create(**request)
    if request.get("stream"):
        return {"events": [event.model_dump(warnings="none") for event in reply]}
    return {"reply": reply.model_dump(warnings="none")}


async def built(request: dict[str, Any]) -> Any:
    """A stream by `acompletion`, put together by LiteLLM."""
    stream = await litellm.acompletion(**request, stream=True)
    return litellm.stream_chunk_builder([chunk async for chunk in stream])


litellm.suppress_debug_info = True  # it would be printed among the results
given = json.load(sys.stdin)
for step in given["steps"]:
    account = {"api_base": given["servers"][step["server"]], "api_key": step["key"], "max_retries": step["retries"]}
    began = time.monotonic()
    try:
        result = call(step, account)
    except openai.APIStatusError as error:
        result = {"error": {"class": type(error).__name__, "status": error.status_code, "body": error.body}}
    print(json.dumps({"name": step["name"], "seconds": time.monotonic() - began, **result}), flush=True)
