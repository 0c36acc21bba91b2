"""What a request means in tokens: shared by every backend that runs a model in this process."""

from dataclasses import dataclass

from pocketphi.chat import ChatTemplate, Message, Segment, render_open
from pocketphi.errors import UserError
from pocketphi.runtime.backend import GenerateRequest, ScoreRequest
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

    def writer(self, request: GenerateRequest, prompt: list[int]) -> Writer:
        """What writes the answer after `prompt`."""
        limits = Limits(context=self.context, max_tokens=request.max_tokens, stop_ids=self.stop_ids, stops=request.stop)
        return Writer(self.tokenizer, request.sampling, limits, prompt_length=len(prompt))

    def scored(self, request: ScoreRequest) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens of context and continuation; the context is never empty. Raises `UserError` if they do not fit."""
        context, whole = self._tokens(request.context), self._tokens(request.context, request.continuation)
        # Without BOS and context there is nothing to predict the first token from: it is given, not scored. And a
        # continuation may melt into the context's last tokens: the tokens that differ are its own.
        same = next(
            (i for i, (a, b) in enumerate(zip(context, whole, strict=False)) if a != b), min(len(context), len(whole))
        )
        split = max(1, same)
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
