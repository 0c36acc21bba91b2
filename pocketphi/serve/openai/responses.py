"""`/v1/responses`: OpenAI's newer API, without its memory. A response depends on what the request says alone."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.serve.openai.body import checked, read
from pocketphi.serve.openai.chat_request import ChatRequest
from pocketphi.serve.openai.conversation import prepare
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.events import EventStream
from pocketphi.serve.openai.response_events import ResponseWriter
from pocketphi.serve.openai.response_request import (
    InputCall,
    InputCallOutput,
    InputMessage,
    InputText,
    ResponseRequest,
)
from pocketphi.serve.openai.service import Envelope, Service
from pocketphi.serve.openai.whole import collect

LOGPROBS = "message.output_text.logprobs"
"""What `include` calls them."""


async def create_response(service: Service, request: Request) -> Response:
    asked = await read(request, ResponseRequest)
    try:
        prepared = await prepare(service, request, as_chat(asked))
    except ApiError as error:
        if error.param is not None and error.param.startswith("messages"):
            error.param = "input"
        raise
    answers, metrics = prepared.answers, service.metrics_of(prepared.served)
    writer = ResponseWriter(Envelope.make("resp_", prepared.served), asked, prepared)
    if asked.stream:
        return EventStream(answers, writer, options=service.options, metrics=metrics)
    (whole,) = await collect(answers, request, options=service.options, metrics=metrics)
    writer.write(whole.text, whole.logprobs)
    return JSONResponse(writer.close(whole.stop_reason))


def as_chat(asked: ResponseRequest) -> ChatRequest:
    """The same request as a chat."""
    messages: list[dict[str, Any]] = []
    if asked.instructions is not None:
        messages.append({"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        messages.append({"role": "user", "content": asked.input})
    else:
        for item in asked.input:
            match item:
                case InputMessage():
                    messages.append({"role": item.role, "content": _text(item.content)})
                case InputCall():
                    function = {"name": item.name, "arguments": item.arguments}
                    if not messages or messages[-1]["role"] != "assistant":
                        messages.append({"role": "assistant"})
                    calls = messages[-1].setdefault("tool_calls", [])
                    calls.append({"id": item.call_id, "type": "function", "function": function})
                case InputCallOutput():
                    messages.append({"role": "tool", "tool_call_id": item.call_id, "content": _text(item.output)})
    if not messages:
        raise ApiError("`input` says nothing", param="input", code="invalid_value")

    same = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
    fields = {name: getattr(asked, name) for name in (*same, "logit_bias", "seed", "model", "stream")}
    tells_logprobs = LOGPROBS in (asked.include or ())
    return checked(
        {
            **fields,
            "messages": messages,
            "max_completion_tokens": asked.max_output_tokens,
            "logprobs": tells_logprobs,
            "top_logprobs": asked.top_logprobs if tells_logprobs else None,
            "tools": _tools(asked),
            "tool_choice": _choice(asked),
            "parallel_tool_calls": asked.parallel_tool_calls,
            "response_format": _format(asked),
        },
        ChatRequest,
    )


def _text(content: str | list[InputText]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _tools(asked: ResponseRequest) -> list[dict[str, Any]] | None:
    if asked.tools is None:
        return None
    return [{"type": "function", "function": tool.model_dump(exclude={"type"})} for tool in asked.tools]


def _choice(asked: ResponseRequest) -> Any:
    if asked.tool_choice is None or isinstance(asked.tool_choice, str):
        return asked.tool_choice
    return {"type": "function", "function": {"name": asked.tool_choice.name}}


def _format(asked: ResponseRequest) -> dict[str, Any] | None:
    wanted = None if asked.text is None else asked.text.format
    if wanted is None:
        return None
    told = wanted.model_dump(by_alias=True)
    if told.pop("type") != "json_schema":
        return {"type": wanted.type}
    return {"type": "json_schema", "json_schema": told}
