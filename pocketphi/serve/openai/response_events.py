"""The events of the Responses API, in their order, and the response that they add up to.

response.created, response.in_progress
for the text:   output_item.added, content_part.added, output_text.delta ..., output_text.done, content_part.done,
                output_item.done
for each call:  output_item.added, function_call_arguments.delta ..., function_call_arguments.done,
                output_item.done
response.completed, or response.incomplete, or response.failed
"""

import secrets
from collections.abc import Sequence
from typing import Any

from pocketphi.runtime.sampling import TokenLogprob
from pocketphi.runtime.scheduler.job import Piece
from pocketphi.runtime.writer import StopReason
from pocketphi.serve.defaults import TEMPERATURE, TOP_P
from pocketphi.serve.openai.conversation import Prepared
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.events import compact, quoted
from pocketphi.serve.openai.logprobs import chat_logprobs
from pocketphi.serve.openai.response_request import ResponseRequest
from pocketphi.serve.openai.service import Envelope
from pocketphi.serve.tool_answers import CallPart

_CUT = {StopReason.LENGTH, StopReason.CONTEXT}


class ResponseWriter:
    """Writes one response: as events, or, who leaves those alone, whole."""

    def __init__(self, envelope: Envelope, asked: ResponseRequest, prepared: Prepared) -> None:
        self._envelope, self._asked, self._prepared = envelope, asked, prepared
        self._parser = prepared.parser()
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._text: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._open: str | None = None
        """Type of the item that is being written."""
        self._call = -1
        self._delta_head = b""
        self._reason = StopReason.END

    def begin(self) -> bytes:
        started = self._response("in_progress")
        return self._event("response.created", response=started) + self._event("response.in_progress", response=started)

    def push(self, index: int, piece: Piece) -> bytes:  # noqa: ARG002 (a response is one answer)
        events = self.write(piece.text, piece.logprobs)
        if piece.stop_reason is not None:
            self._reason = piece.stop_reason
        return events

    def write(self, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        """More of the answer."""
        parts: list[str | CallPart] = [text] if text else []
        if self._parser is not None:
            parts = self._parser.push(text)
        told = []
        if logprobs and self._prepared.asked.logprobs:
            told = chat_logprobs(self._prepared.served.model.tokenizer, logprobs)["content"]
        return self._write(parts, told)

    def end(self) -> bytes:
        events = self._finish(self._reason)
        response = self.close(self._reason)
        return events + self._event(f"response.{response['status']}", response=response)

    def close(self, reason: StopReason) -> dict[str, Any]:
        """The whole response, at its end."""
        self._finish(reason)
        return self._response("incomplete" if reason in _CUT else "completed")

    def failed(self, error: ApiError) -> bytes:
        events = self._event("error", code=error.code, message=error.message, param=error.param)
        response = {**self._response("failed"), "error": {"code": "server_error", "message": error.message}}
        return events + self._event("response.failed", response=response)

    def _finish(self, reason: StopReason) -> bytes:
        events = b""
        if self._parser is not None:
            events = self._write(self._parser.finish(), [])
            self._parser = None
        if self._open is None and not self._output:
            events += self._open_message()
        return events + self._close_item("incomplete" if reason in _CUT else "completed")

    def _write(self, parts: Sequence[str | CallPart], logprobs: list[dict[str, Any]]) -> bytes:
        events = b""
        for part in parts:
            if isinstance(part, CallPart):
                events += self._more_call(part)
                continue
            if self._open != "message":
                events += self._close_item() + self._open_message()
            self._text.append(part)
            self._logprobs += logprobs
            told = compact(logprobs) if logprobs else b"[]"
            events += self._delta_head + quoted(part) + b',"logprobs":' + told
            events += b',"sequence_number":%d}\n\n' % self._next()
            logprobs = []
        return events

    def _open_message(self) -> bytes:
        item = {"id": _name("msg"), "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        self._open, self._text, self._logprobs = "message", [], []
        place = {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}
        kind = "response.output_text.delta"
        head = compact({"type": kind, **place})[:-1]
        self._delta_head = f"event: {kind}\ndata: ".encode() + head + b',"delta":'
        self._output.append(item)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return self._added(item) + self._event("response.content_part.added", **place, part=part)

    def _more_call(self, part: CallPart) -> bytes:
        events = b""
        if self._open != "function_call" or part.index != self._call:
            events = self._close_item()
            self._open, self._call = "function_call", part.index
            item: dict[str, Any] = {
                "id": _name("fc"),
                "type": "function_call",
                "status": "in_progress",
                "call_id": part.id,
                "name": part.name,
                "arguments": "",
            }
            self._output.append(item)
            events += self._added(item)
        item = self._output[-1]
        item["arguments"] += part.arguments
        if part.arguments:
            kind = "response.function_call_arguments.delta"
            events += self._event(kind, item_id=item["id"], output_index=len(self._output) - 1, delta=part.arguments)
        return events

    def _close_item(self, status: str = "completed") -> bytes:
        if self._open is None:
            return b""
        item, index = self._output[-1], len(self._output) - 1
        if self._open == "message":
            text = "".join(self._text)
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": self._logprobs}
            item["content"] = [part]
            place = {"item_id": item["id"], "output_index": index, "content_index": 0}
            events = self._event("response.output_text.done", **place, text=text, logprobs=self._logprobs)
            events += self._event("response.content_part.done", **place, part=part)
        else:
            kind, arguments = "response.function_call_arguments.done", item["arguments"]
            events = self._event(kind, item_id=item["id"], output_index=index, name=item["name"], arguments=arguments)
        self._open = None
        item["status"] = status
        return events + self._event("response.output_item.done", output_index=index, item=item)

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return (
            f"event: {kind}\ndata: ".encode()
            + compact({"type": kind, **fields, "sequence_number": self._next()})
            + b"\n\n"
        )

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _response(self, status: str) -> dict[str, Any]:
        asked = self._asked
        given = asked.model_dump(by_alias=True, include={"text", "tools", "tool_choice"})
        is_over = status in {"completed", "incomplete"}
        return {
            "id": self._envelope.id,
            "object": "response",
            "created_at": self._envelope.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "model": self._envelope.model,
            "output": self._output if status != "in_progress" else [],
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": TEMPERATURE if asked.temperature is None else asked.temperature,
            "text": given["text"] if asked.text and asked.text.format else {"format": {"type": "text"}},
            "tool_choice": given["tool_choice"] or "auto",
            "tools": given["tools"] or [],
            "top_p": TOP_P if asked.top_p is None else asked.top_p,
            "truncation": "disabled",
            "usage": self._usage() if is_over else None,
            "user": asked.user,
            "metadata": asked.metadata or {},
        }

    def _usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = self._prepared.planned.usage(self._prepared.answers)
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {**usage["prompt_tokens_details"], "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }


def _name(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
