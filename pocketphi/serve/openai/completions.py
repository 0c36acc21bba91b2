"""`/v1/completions`: text, or tokens, to go on with."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.runtime.scheduler.job import Piece
from pocketphi.serve.openai.answers import Answers
from pocketphi.serve.openai.body import read
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.events import DONE, EventStream, compact, event, quoted
from pocketphi.serve.openai.logprobs import CompletionLogprobs
from pocketphi.serve.openai.other_requests import CompletionRequest
from pocketphi.serve.openai.plan import Plan, beside, check_prompt, encode_text, plan
from pocketphi.serve.openai.served import ServedModel
from pocketphi.serve.openai.service import Envelope, Service, tenant_of
from pocketphi.serve.openai.structure import grammar_of
from pocketphi.serve.openai.whole import FINISH_REASONS, WholeAnswer, collect

DEFAULT_MAX_TOKENS = 16
"""OpenAI's."""
MAX_ANSWERS = 32
"""To all prompts of a request together."""


async def create_completion(service: Service, request: Request) -> Response:
    asked = await read(request, CompletionRequest)
    served = service.models.named(asked.model)
    if len(asked.prompts) * asked.choices > MAX_ANSWERS:
        raise ApiError(
            f"`{len(asked.prompts)}` prompts of `{asked.choices}` answers each; at most {MAX_ANSWERS} answers together",
            param="n",
            code="invalid_value",
        )
    prompts = [await _tokens(served, prompt) for prompt in asked.prompts]
    planned = plan(
        served,
        asked,
        prompts,
        tenant=tenant_of(request),
        max_tokens=asked.max_tokens or DEFAULT_MAX_TOKENS,
        stop_ids=served.model.stop_ids(),
        grammar=await grammar_of(served, asked.structured_outputs),
        top_logprobs=asked.logprobs,
    )
    answers = service.answers(served, planned.jobs)
    envelope = Envelope.make("cmpl-", served)
    metrics = service.metrics_of(served)
    if asked.stream:
        writer = _Writer(envelope, served, asked, planned, answers)
        return EventStream(answers, writer, options=service.options, metrics=metrics)
    whole = await collect(answers, request, options=service.options, metrics=metrics)
    choices = [_choice(served, asked, index, answer) for index, answer in enumerate(whole)]
    return JSONResponse({**envelope.fields("text_completion"), "choices": choices, "usage": planned.usage(answers)})


async def _tokens(served: ServedModel, prompt: str | list[int]) -> list[int]:
    tokens = await beside(len(prompt), encode_text, served, prompt) if isinstance(prompt, str) else prompt
    check_prompt(served, tokens, param="prompt")
    return tokens


def _choice(served: ServedModel, asked: CompletionRequest, index: int, answer: WholeAnswer) -> dict[str, Any]:
    told = None if asked.logprobs is None else CompletionLogprobs(served.model.tokenizer).push(answer.logprobs)
    return {"index": index, "text": answer.text, "logprobs": told, "finish_reason": answer.finish_reason}


class _Writer:
    """The stream's events."""

    def __init__(
        self, envelope: Envelope, served: ServedModel, asked: CompletionRequest, planned: Plan, answers: Answers
    ) -> None:
        self._fields = envelope.fields("text_completion")
        self._planned, self._answers, self._wants_usage = planned, answers, asked.wants_usage
        self._logprobs = [CompletionLogprobs(served.model.tokenizer) for _ in planned.jobs]
        self._tells_logprobs = asked.logprobs is not None
        start = b"data: " + compact(self._fields)[:-1]
        self._heads = [start + b',"choices":[{"index":%d,"text":' % index for index in range(len(planned.jobs))]
        self._after = b"}]" + (b',"usage":null' if asked.wants_usage else b"") + b"}\n\n"
        self._plain = b',"logprobs":null,"finish_reason":null' + self._after

    def begin(self) -> bytes:
        return b""

    def push(self, index: int, piece: Piece) -> bytes:
        events = b""
        if piece.text or (piece.logprobs and self._tells_logprobs):
            events = self._heads[index] + quoted(piece.text) + self._tail(index, piece)
        if piece.stop_reason is not None:
            reason = FINISH_REASONS[piece.stop_reason].encode()
            events += self._heads[index] + b'"","logprobs":null,"finish_reason":"' + reason + b'"' + self._after
        return events

    def end(self) -> bytes:
        if not self._wants_usage:
            return DONE
        return event({**self._fields, "choices": [], "usage": self._planned.usage(self._answers)}) + DONE

    def failed(self, error: ApiError) -> bytes:
        return event(error.body)

    def _tail(self, index: int, piece: Piece) -> bytes:
        if not self._tells_logprobs:
            return self._plain
        told = compact(self._logprobs[index].push(piece.logprobs))
        return b',"logprobs":' + told + b',"finish_reason":null' + self._after
