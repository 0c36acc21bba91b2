"""`/v1/chat/completions`: the answer to a conversation."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.runtime.scheduler.job import Piece
from pocketphi.serve.openai.body import read
from pocketphi.serve.openai.chat_request import ChatRequest
from pocketphi.serve.openai.conversation import Prepared, prepare
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.events import DONE, EventStream, compact, event, quoted
from pocketphi.serve.openai.logprobs import chat_logprobs
from pocketphi.serve.openai.service import Envelope, Service
from pocketphi.serve.openai.whole import FINISH_REASONS, WholeAnswer, collect
from pocketphi.serve.tool_answers import CallParser, CallPart, parse_answer


async def create_chat_completion(service: Service, request: Request) -> Response:
    asked = await read(request, ChatRequest)
    prepared = await prepare(service, request, asked)
    answers, metrics = prepared.answers, service.metrics_of(prepared.served)
    envelope = Envelope.make("chatcmpl-", prepared.served)
    if asked.stream:
        return EventStream(answers, _Writer(envelope, prepared), options=service.options, metrics=metrics)
    whole = await collect(answers, request, options=service.options, metrics=metrics)
    choices = [_choice(prepared, index, answer) for index, answer in enumerate(whole)]
    usage = prepared.planned.usage(answers)
    return JSONResponse({**envelope.fields("chat.completion"), "choices": choices, "usage": usage})


def _choice(prepared: Prepared, index: int, answer: WholeAnswer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    reason = answer.finish_reason
    if prepared.told.tools:
        text, calls = parse_answer(answer.text, [tool.name for tool in prepared.told.tools], is_held=True)
        message["content"] = text
        if calls:
            reason = "tool_calls" if reason == "stop" else reason
            message |= {"content": text or None, "tool_calls": [told(call) for call in calls]}
    logprobs = None
    if prepared.asked.logprobs:
        logprobs = chat_logprobs(prepared.served.model.tokenizer, answer.logprobs)
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}


def told(call: CallPart) -> dict[str, Any]:
    """A whole call as it stands in a message."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class _Writer:
    """The stream's events. Text costs one string to quote and two to join; all else is rare."""

    def __init__(self, envelope: Envelope, prepared: Prepared) -> None:
        self._fields = envelope.fields("chat.completion.chunk")
        self._prepared = prepared
        self._wants_usage = prepared.asked.wants_usage
        self._tells_logprobs = bool(prepared.asked.logprobs)
        self._parsers: list[CallParser | None] = [prepared.parser() for _ in prepared.planned.jobs]
        self._has_called = [False] * len(self._parsers)
        start = b"data: " + compact(self._fields)[:-1]
        self._heads = [start + b',"choices":[{"index":%d,"delta":' % index for index in range(len(self._parsers))]
        self._text_heads = [head + b'{"content":' for head in self._heads]
        self._after = b"}]" + (b',"usage":null' if self._wants_usage else b"") + b"}\n\n"
        self._plain = b',"logprobs":null,"finish_reason":null' + self._after
        self._text_plain = b"}" + self._plain

    def begin(self) -> bytes:
        first = b'{"role":"assistant","content":"","refusal":null}' + self._plain
        return b"".join([head + first for head in self._heads])

    def push(self, index: int, piece: Piece) -> bytes:
        parser = self._parsers[index]
        if parser is None:
            if piece.stop_reason is None and not self._tells_logprobs:
                return self._text_heads[index] + quoted(piece.text) + self._text_plain if piece.text else b""
            parts: list[str | CallPart] = [piece.text] if piece.text else []
        else:
            parts = parser.push(piece.text)
            if piece.stop_reason is not None:
                parts += parser.finish()
        tail = self._plain
        if piece.logprobs and self._tells_logprobs:
            told_logprobs = compact(chat_logprobs(self._prepared.served.model.tokenizer, piece.logprobs))
            tail = b',"logprobs":' + told_logprobs + b',"finish_reason":null' + self._after
            parts = parts or [""]  # a token may have no text yet
        events = b""
        for part in parts:
            events += self._heads[index] + self._delta(index, part) + tail
            tail = self._plain
        return events if piece.stop_reason is None else events + self._last(index, FINISH_REASONS[piece.stop_reason])

    def end(self) -> bytes:
        if not self._wants_usage:
            return DONE
        usage = self._prepared.planned.usage(self._prepared.answers)
        return event({**self._fields, "choices": [], "usage": usage}) + DONE

    def failed(self, error: ApiError) -> bytes:
        return event(error.body)

    def _delta(self, index: int, part: str | CallPart) -> bytes:
        if isinstance(part, str):
            return b'{"content":' + quoted(part) + b"}"
        self._has_called[index] = True
        call: dict[str, Any] = {"index": part.index}
        if part.name is not None:
            call |= told(part)
        else:
            call["function"] = {"arguments": part.arguments}
        return compact({"tool_calls": [call]})

    def _last(self, index: int, reason: str) -> bytes:
        if self._has_called[index] and reason == "stop":
            reason = "tool_calls"
        return self._heads[index] + b'{},"logprobs":null,"finish_reason":"' + reason.encode() + b'"' + self._after
