"""Runs the session with the official `openai` package: `by_openai.py [async]`."""

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Awaitable
from typing import Any, Literal, TypeVar

import openai
from idle import seconds_until_idle
from pydantic import BaseModel

T = TypeVar("T")
IS_ASYNC = sys.argv[1:] == ["async"]


class GetWeather(BaseModel):
    """The weather of a city."""

    city: Literal["Oslo", "Rome", "Lima"]
    days: Literal[1, 3, 7]
    hourly: bool


async def settled(value: Awaitable[T] | T) -> T:
    return await value if inspect.isawaitable(value) else value  # type: ignore[return-value]


async def listed(stream: Any) -> list[Any]:
    if not IS_ASYNC:
        return [event.model_dump(warnings="none") for event in stream]
    return [event.model_dump(warnings="none") async for event in stream]


async def call(client: Any, step: dict[str, Any]) -> dict[str, Any]:
    request = {**step["request"], "extra_body": step["extra"]}
    chat = client.chat.completions
    match step["call"]:
        case "models":
            page = await settled(client.models.list())
            return {"reply": page.model_dump(warnings="none")}
        case "model":
            return {
                "reply": (await settled(client.models.retrieve(step["request"]["model"]))).model_dump(warnings="none")
            }
        case "chat parse":
            parsed = await settled(chat.parse(**request, response_format=GetWeather))
            assert isinstance(parsed.choices[0].message.parsed, GetWeather)
            return {
                "reply": parsed.model_dump(warnings="none"),
                "parsed": parsed.choices[0].message.parsed.model_dump(warnings="none"),
            }
        case "chat parse tool":
            tools = [openai.pydantic_function_tool(GetWeather)]
            parsed = await settled(
                chat.parse(**request, tools=tools, tool_choice="required", parallel_tool_calls=False)
            )
            arguments = parsed.choices[0].message.tool_calls[0].function.parsed_arguments
            assert isinstance(arguments, GetWeather)
            return {"reply": parsed.model_dump(warnings="none"), "parsed": arguments.model_dump(warnings="none")}
        case "chat stream helper":
            if IS_ASYNC:
                async with chat.stream(**request) as stream:
                    return {"reply": (await stream.get_final_completion()).model_dump(warnings="none")}
            with chat.stream(**request) as stream:
                return {"reply": stream.get_final_completion().model_dump(warnings="none")}
        case "chat leave":
            stream = await settled(chat.create(**request))
            iterator = stream.__aiter__() if IS_ASYNC else iter(stream)
            for _ in range(3):
                await iterator.__anext__() if IS_ASYNC else next(iterator)
            await settled(stream.close())
            return {"idle": seconds_until_idle(str(client.base_url), client.api_key)}
        case "response parse":
            parsed = await settled(client.responses.parse(**request, text_format=GetWeather))
            assert isinstance(parsed.output_parsed, GetWeather)
            return {
                "reply": parsed.model_dump(warnings="none"),
                "parsed": parsed.output_parsed.model_dump(warnings="none"),
            }
    create = {
        "chat": chat.create,
        "completion": client.completions.create,
        "embedding": client.embeddings.create,
        "response": client.responses.create,
    }[step["call"]]
    reply = await settled(create(**request))
    return (
        {"events": await listed(reply)}
        if step["request"].get("stream")
        else {"reply": reply.model_dump(warnings="none")}
    )


async def run() -> None:
    given = json.load(sys.stdin)
    first = (openai.AsyncOpenAI if IS_ASYNC else openai.OpenAI)(base_url="http://localhost", api_key="none")
    for step in given["steps"]:
        client = first.with_options(
            base_url=given["servers"][step["server"]], api_key=step["key"], max_retries=step["retries"]
        )
        began = time.monotonic()
        try:
            result = await call(client, step)
        except openai.APIStatusError as error:
            result = {"error": {"class": type(error).__name__, "status": error.status_code, "body": error.body}}
        seconds = time.monotonic() - began
        print(json.dumps({"name": step["name"], "seconds": seconds, **result}), flush=True)


asyncio.run(run())
