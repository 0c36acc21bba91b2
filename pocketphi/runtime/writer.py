"""From logits to an answer, one token at a time: draw, decode, and know when to end.

A `Writer` never touches the engine, so one session or a whole batch can drive it: give it the logits
of the last position, feed the token it names, until it names none.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pocketphi.runtime.sampling import Sampler, SamplingOptions
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


class Writer:
    """The state of one answer.

    Args:
        prompt_length: tokens before the answer.
    """

    def __init__(self, tokenizer: Tokenizer, sampling: SamplingOptions, limits: Limits, *, prompt_length: int) -> None:
        self.tokens: list[int] = []
        """What was drawn, the token that ended the turn not counted."""
        self.text = ""
        """All pieces so far, joined."""
        self.stop_reason: StopReason | None = None
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
        token, _ = self._sampler.draw(logits, self.tokens, position)
        if token in self._limits.stop_ids:
            return self._end(StopReason.END)
        self.tokens.append(token)
        piece = self._finder.push(self._stream.push(token))
        if self._finder.found:
            self.stop_reason = StopReason.STOP
        elif len(self.tokens) == self._limits.max_tokens:
            piece += self._end(StopReason.LENGTH)
        elif position + 1 >= self._limits.context:
            piece += self._end(StopReason.CONTEXT)
        self.text += piece
        return piece

    def _end(self, reason: StopReason) -> str:
        """What decoder and stop strings held back."""
        rest = self._finder.push(self._stream.flush())
        self.stop_reason = StopReason.STOP if self._finder.found else reason
        return rest + self._finder.finish()
