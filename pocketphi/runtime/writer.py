"""From logits to an answer, one token at a time: draw, decode, and know when to end.

A `Writer` never touches the engine, so one session or a whole batch can drive it: give it the logits
of the last position, feed the token it names, until it names none.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pocketphi.runtime.sampling import Sampler, SamplingOptions, TokenLogprob, likeliest
from pocketphi.runtime.stopping import StopFinder
from pocketphi.tokenizer import Tokenizer


class StopReason(StrEnum):
    """Why an answer ended."""

    END = "end"
    """The model ended its turn."""
    STOP = "stop"
    """A stop string came."""
    LENGTH = "length"
    """`max_tokens` were written."""
    CONTEXT = "context"
    """The context is full; the answer is cut."""
    CANCELLED = "cancelled"
    """Somebody stopped it, or nobody read it to the end."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where an answer ends at the latest."""

    context: int
    """Positions of prompt and answer together."""
    max_tokens: int | None = None
    stop_ids: frozenset[int] = frozenset()
    stops: tuple[str, ...] = ()


class Matcher(Protocol):
    """What a grammar allows next, in one answer that is being written."""

    def mask(self, left: int | None = None) -> NDArray[np.uint32]:
        """Bit t % 32 of word t / 32 is set if token t may come next; (ceil(V / 32),), valid until `accept`.

        It says nothing about tokens that end the turn: a grammar does not know them. None is set where the answer is
        to end.

        Args:
            left: tokens that may still be written: where they are few, those that lead to an end.
        """
        ...

    @property
    def may_end(self) -> bool:
        """Whether the text so far is one that the grammar allows as a whole."""
        ...

    def accept(self, token: int) -> None:
        """`token` was drawn: one that the mask allowed, and none that ends the turn.

        Raises:
            UserError: following the grammar became too costly.
        """
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the text is whole and nothing can follow: the answer ends here, without a token that says so."""
        ...


class Writer:
    """The state of one answer.

    Args:
        prompt_length: tokens before the answer.
        matcher: keeps the answer to a grammar.
        top_logprobs: how many of the likeliest tokens to note at each place, beside the drawn one; None for no notes.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        sampling: SamplingOptions,
        limits: Limits,
        *,
        prompt_length: int,
        matcher: Matcher | None = None,
        top_logprobs: int | None = None,
    ) -> None:
        self.tokens: list[int] = []
        """What was drawn, the token that ended the turn not counted."""
        self.text = ""
        """All pieces so far, joined."""
        self.logprobs: list[TokenLogprob] = []
        """Of `tokens`, if asked for."""
        self.stop_reason: StopReason | None = None
        self._matcher, self._top_logprobs = matcher, top_logprobs
        self._limits = limits
        self._prompt_length = prompt_length
        self._sampler = Sampler(sampling)
        self._stream = tokenizer.stream()
        self._finder = StopFinder(limits.stops)

    def push(self, logits: NDArray[np.float32]) -> str:
        """Draw from (V,) logits; the text that became certain, perhaps "".

        If `stop_reason` is None afterwards, `tokens[-1]` goes to the model next.
        """
        position = self._prompt_length + len(self.tokens)
        allowed = None
        if self._matcher is not None:
            allowed = self._allowed(self._matcher)
            if self._matcher.may_end and not allowed.any():
                return self._end_turn()
        token, logprob = self._sampler.draw(logits, self.tokens, position, allowed=allowed)
        if token in self._limits.stop_ids:
            return self._end_turn()
        self.tokens.append(token)
        if self._top_logprobs is not None:
            top = likeliest(logits, self._top_logprobs)
            self.logprobs.append(TokenLogprob(token=token, logprob=logprob, top=top))
        if self._matcher is not None:
            self._matcher.accept(token)
        piece = self._finder.push(self._stream.push(token))
        if self._finder.found:
            self.stop_reason = StopReason.STOP
        elif self._matcher is not None and self._matcher.is_finished:
            piece += self._end(StopReason.END)
        elif len(self.tokens) == self._limits.max_tokens:
            piece += self._end(StopReason.LENGTH)
        elif position + 1 >= self._limits.context:
            piece += self._end(StopReason.CONTEXT)
        self.text += piece
        return piece

    def _allowed(self, matcher: Matcher) -> NDArray[np.uint32]:
        """The matcher's mask, with the tokens that end the turn just where the text may end."""
        left = self._limits.context - self._prompt_length - len(self.tokens)
        if self._limits.max_tokens is not None:
            left = min(left, self._limits.max_tokens - len(self.tokens))
        allowed = matcher.mask(left).copy()
        for token in self._limits.stop_ids:
            bit = np.uint32(1 << token % 32)
            if matcher.may_end:
                allowed[token // 32] |= bit
            else:
                allowed[token // 32] &= ~bit
        return allowed

    def _end_turn(self) -> str:
        rest = self._end(StopReason.END)
        self.text += rest
        return rest

    def _end(self, reason: StopReason) -> str:
        """What decoder and stop strings held back."""
        rest = self._finder.push(self._stream.flush())
        self.stop_reason = StopReason.STOP if self._finder.found else reason
        return rest + self._finder.finish()
