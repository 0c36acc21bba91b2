"""The native engine as a `Backend`: several sequences move forward in every step.

Scoring computes a shared context once and forks it for each continuation; generating keeps up to
`batch_size` answers in flight and starts the next request where one ends. By the engine's promise
neither changes a bit of any result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.runtime.abi import Positions
from pocketphi.runtime.backend import (
    Capabilities,
    GenerateRequest,
    GenerateResult,
    ScoreRequest,
    ScoreResult,
)
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import NativeSession, StepItem
from pocketphi.runtime.requests import RequestReader
from pocketphi.runtime.sampling import score
from pocketphi.runtime.writer import StopReason, Writer


@dataclass(frozen=True)
class _Scored:
    """A request to score, in tokens after a context that others may share."""

    index: int
    continuation: tuple[int, ...]


@dataclass
class _InFlight:
    index: int
    session: NativeSession
    writer: Writer
    next_tokens: list[int]


class NativeBackend:
    """Scores and generates on `model`.

    Args:
        batch_size: sequences in one step. Their caches share the model's page budget.
    """

    def __init__(self, model: Model, *, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise UserError(f"`batch_size` is `{batch_size}`", hint="give 1 or more")
        self.model = model
        self.batch_size = batch_size
        self._reader = RequestReader(
            tokenizer=model.tokenizer,
            template=model.template,
            bos_id=model.bos_id,
            stop_ids=model.stop_ids(),
            context=model.context_size,
        )

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=True, logprobs=True, grammar=False, max_context=self.model.context_size)

    def length(self, request: ScoreRequest | GenerateRequest) -> int:
        """Tokens of a prompt, or of context and continuation."""
        return self._reader.length(request)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """Log likelihoods, in the order of the requests. Raises `UserError` if one does not fit."""
        by_context: dict[tuple[int, ...], list[_Scored]] = {}
        for index, request in enumerate(requests):
            context, continuation = self._reader.scored(request)
            by_context.setdefault(context, []).append(_Scored(index, continuation))
        results: list[ScoreResult | None] = [None] * len(requests)
        for context, group in by_context.items():
            for index, result in self._score_group(context, group):
                results[index] = result
        return [result for result in results if result is not None]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """Answers, in the order of the requests. Raises `UserError` if a prompt does not fit."""
        prompts = [self._reader.prompt(request) for request in requests]
        waiting = [
            (index, self._reader.writer(request, prompt), prompt)
            for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True))
        ]
        waiting.reverse()
        results: list[GenerateResult | None] = [None] * len(requests)
        flying: list[_InFlight] = []
        try:
            while waiting or flying:
                while waiting and len(flying) < self.batch_size:
                    index, writer, prompt = waiting.pop()
                    flying.append(_InFlight(index, self.model.engine.session(), writer, prompt))
                outputs = self.model.engine.step([StepItem(session=f.session, tokens=f.next_tokens) for f in flying])
                for answer, output in zip(flying, outputs, strict=True):
                    assert output.logits is not None
                    answer.writer.push(output.logits[0])
                    answer.next_tokens = answer.writer.tokens[-1:]
                    if (reason := answer.writer.stop_reason) is not None:
                        results[answer.index] = _result(answer.writer, reason)
                        answer.session.close()
                flying = [answer for answer in flying if answer.writer.stop_reason is None]
        finally:
            for answer in flying:
                answer.session.close()
        return [result for result in results if result is not None]

    def _score_group(self, context: tuple[int, ...], group: Sequence[_Scored]) -> Iterator[tuple[int, ScoreResult]]:
        for request in group:
            if not request.continuation:
                yield request.index, ScoreResult(logprob=0.0, num_tokens=0, is_greedy=True)
        group = [request for request in group if request.continuation]
        with self.model.engine.session() as shared:
            if len(context) > 1:
                shared.step(context[:-1], logits=Positions.NONE)
            for start in range(0, len(group), self.batch_size):
                batch = group[start : start + self.batch_size]
                forks = [shared.fork() for _ in batch]
                items = [
                    StepItem(session=fork, tokens=(*context[-1:], *request.continuation[:-1]), logits=Positions.ALL)
                    for fork, request in zip(forks, batch, strict=True)
                ]
                outputs = self.model.engine.step(items)
                for fork, request, output in zip(forks, batch, outputs, strict=True):
                    fork.close()
                    assert output.logits is not None
                    yield request.index, _score(output.logits, request.continuation)


def _score(logits: NDArray[np.float32], continuation: Sequence[int]) -> ScoreResult:
    logprobs, best = score(logits, continuation)
    return ScoreResult(
        logprob=float(logprobs.sum(dtype=np.float64)),
        num_tokens=len(continuation),
        is_greedy=bool((best == np.asarray(continuation)).all()),
    )


def _result(writer: Writer, reason: StopReason) -> GenerateResult:
    return GenerateResult(text=writer.text, num_tokens=len(writer.tokens), stop_reason=reason)
