"""Runs the session with LangChain: ChatOpenAI, OpenAI and OpenAIEmbeddings of `langchain-openai`."""

import asyncio
import json
import sys
import time
from typing import Any, Literal

import openai
from idle import seconds_until_idle
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class GetWeather(BaseModel):
    """The weather of a city."""

    city: Literal["Oslo", "Rome", "Lima"]
    days: Literal[1, 3, 7]
    hourly: bool


def choice_of(message: BaseMessage) -> dict[str, Any]:
    """A message as OpenAI writes it."""
    assert isinstance(message, AIMessage)
    about = message.response_metadata
    reason = {"completed": "stop", "incomplete": "length", None: None}[about.get("status")]
    calls = [
        {"id": call["id"], "function": {"name": call["name"], "arguments": json.dumps(call["args"])}}
        for call in message.tool_calls
    ]
    return {
        "message": {"content": str(message.text), "tool_calls": calls},
        "finish_reason": about.get("finish_reason", reason),
        "logprobs": about.get("logprobs"),
    }


def usage_of(message: BaseMessage) -> dict[str, Any] | None:
    assert isinstance(message, AIMessage)
    return None if message.usage_metadata is None else dict(message.usage_metadata)


def conversation(told: str | list[dict[str, Any]]) -> list[Any]:
    """What the Responses API takes, as messages."""
    if isinstance(told, str):
        return [("user", told)]
    messages: list[Any] = []
    for item in told:
        match item.get("type"):
            case "function_call":
                call = {"id": item["call_id"], "name": item["name"], "args": json.loads(item["arguments"])}
                messages.append(AIMessage("", tool_calls=[call]))
            case "function_call_output":
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
            case _:
                messages.append(item)
    return messages


def chat(step: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    request = dict(step["request"])
    is_response = step["call"].startswith("response")
    messages = conversation(request.pop("input")) if is_response else request.pop("messages")
    is_streamed = request.pop("stream", False)
    request.pop("stream_options", None)
    llm: Any = ChatOpenAI(
        model=request.pop("model"),
        stream_usage=True,
        use_responses_api=is_response,
        extra_body=step["extra"],
        **account,
    )
    match step["call"].removeprefix("chat ").removeprefix("response "):
        case "parse":
            how = llm.with_structured_output(GetWeather, method="json_schema")
            return {"parsed": how.invoke(messages).model_dump()}
        case "parse tool":
            how = llm.with_structured_output(GetWeather, method="function_calling")
            return {"parsed": how.invoke(messages).model_dump()}
        case "leave":
            stream = llm.stream(messages, **request)
            for _ in range(3):
                next(stream)
            stream.close()
            return {"idle": seconds_until_idle(account["base_url"], account["api_key"])}
        case "stream helper":
            message = asyncio.run(joined(llm, messages, request))
            return {"reply": {"choices": [choice_of(message)], "usage": usage_of(message)}}
    if is_streamed or "tools" in request:
        if "tools" in request:
            llm = llm.bind_tools(request.pop("tools"), tool_choice=request.pop("tool_choice"))
        if is_streamed:
            first, *others = list(llm.stream(messages, **request))
            message = sum(others, start=first)
        else:
            message = llm.invoke(messages, **request)
        return {"reply": {"choices": [choice_of(message)], "usage": usage_of(message)}}
    (generations,) = llm.generate([convert_to_messages(messages)], **request).generations
    found = [generation.message for generation in generations]
    return {"reply": {"choices": [choice_of(message) for message in found], "usage": usage_of(found[0])}}


async def joined(llm: Any, messages: list[Any], request: dict[str, Any]) -> BaseMessage:
    chunks = [chunk async for chunk in llm.astream(messages, **request)]
    whole: BaseMessage = sum(chunks[1:], start=chunks[0])
    return whole


def complete(step: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    request = dict(step["request"])
    prompt = request.pop("prompt")
    llm = OpenAI(**{"streaming": request.pop("stream", False), "model": request.pop("model"), **account, **request})
    result = llm.generate([prompt] if isinstance(prompt, str) else prompt)
    choices = [{"text": each.text, **(each.generation_info or {})} for (each,) in result.generations]
    return {"reply": {"choices": choices, "usage": (result.llm_output or {}).get("token_usage")}}


def embed(step: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    request = dict(step["request"])
    texts = request.pop("input")
    # Without this it cuts texts by OpenAI's own encodings, which it downloads, and sends tokens of them.
    model = OpenAIEmbeddings(
        model=request.pop("model"), check_embedding_ctx_length=False, model_kwargs=request, **account
    )
    return {"reply": {"data": [{"embedding": vector} for vector in model.embed_documents(texts)]}}


def call(step: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    if step["call"] in {"models", "model"}:
        return {"absent": "LangChain lists no models"}
    return {"completion": complete, "embedding": embed}.get(step["call"], chat)(step, account)


given = json.load(sys.stdin)
for step in given["steps"]:
    account = {"base_url": given["servers"][step["server"]], "api_key": step["key"], "max_retries": step["retries"]}
    began = time.monotonic()
    try:
        result = call(step, account)
    except openai.APIStatusError as error:
        names = " ".join(kind.__name__ for kind in type(error).__mro__)
        result = {"error": {"class": names, "status": error.status_code, "body": error.body}}
    print(json.dumps({"name": step["name"], "seconds": time.monotonic() - began, **result}), flush=True)
