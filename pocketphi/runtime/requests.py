"""What a request means in tokens: shared by every backend that runs a model in this process."""

from collections.abc import Sequence
from dataclasses import dataclass

from pocketphi.chat import ChatTemplate, Message, Segment, render_open
from pocketphi.errors import UserError
from pocketphi.runtime.backend import GenerateRequest, ScoreRequest
from pocketphi.runtime.prefixes import common_length
from pocketphi.runtime.scheduler.job import Job
from pocketphi.runtime.writer import Limits, Writer
from pocketphi.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestReader:
    """Turns requests into tokens, and refuses those that do not fit."""

    tokenizer: Tokenizer
    template: ChatTemplate
    """Writes prompts that are conversations."""
    bos_id: int | None
    """The token that every sequence starts with, if the model wants one."""
    stop_ids: frozenset[int]
    """Tokens that end an answer."""
    context: int
    """Positions of prompt and answer together."""

    def prompt(self, request: GenerateRequest) -> list[int]:
        """The tokens to go on from. Raises `UserError` if there are none, or too many."""
        tokens = self._tokens(request.prompt)
        if not tokens or request.max_tokens < 1:
            raise UserError("a request needs a prompt and at least one token to write")
        self._check(len(tokens) + 1)
        return tokens

    def job(self, request: GenerateRequest) -> Job:
        """The request as the batch takes it. Raises `UserError` as `prompt`."""
        return Job(
            prompt=tuple(self.prompt(request)),
            max_tokens=request.max_tokens,
            sampling=request.sampling,
            stops=request.stop,
            stop_ids=self.stop_ids,
        )

    def writer(self, request: GenerateRequest, prompt: Sequence[int]) -> Writer:
        """What writes the answer after `prompt`."""
        limits = Limits(context=self.context, max_tokens=request.max_tokens, stop_ids=self.stop_ids, stops=request.stop)
        return Writer(self.tokenizer, request.sampling, limits, prompt_length=len(prompt))

    def scored(self, requests: Sequence[ScoreRequest]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Tokens of contexts and continuations; a context is never empty where its continuation is not.

        Raises:
            UserError: a request does not fit.
        """
        contexts: dict[str | tuple[Message, ...], list[int]] = {}
        return [self._scored(request, contexts) for request in requests]

    def _scored(
        self, request: ScoreRequest, contexts: dict[str | tuple[Message, ...], list[int]]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        context = contexts.get(request.context)
        if context is None:
            context = contexts[request.context] = self._tokens(request.context)
        whole = self._tokens(request.context, request.continuation)
        # Without BOS and context there is nothing to predict the first token from: it is given, not scored. And a
        # continuation may melt into the context's last tokens: the tokens that differ are its own.
        split = max(1, common_length(context, whole))
        self._check(len(whole))
        return tuple(whole[:split]), tuple(whole[split:])

    def length(self, request: ScoreRequest | GenerateRequest) -> int:
        """Tokens of a prompt, or of context and continuation, whether they fit or not."""
        if isinstance(request, GenerateRequest):
            return len(self._tokens(request.prompt))
        return len(self._tokens(request.context, request.continuation))

    def _tokens(self, context: str | tuple[Message, ...], continuation: str = "") -> list[int]:
        if isinstance(context, str):
            return ([] if self.bos_id is None else [self.bos_id]) + self.tokenizer.encode(context + continuation)
        segments: list[Segment] = [*render_open(self.template, context), continuation]
        return self.tokenizer.encode_segments(segments)

    def _check(self, length: int) -> None:
        if length > self.context:
            raise UserError(
                f"a request takes `{length}` tokens, the context holds `{self.context}`",
                hint="shorten it, or load the model with a larger `context`",
            )
