"""One answer on one native session, reusing the keys that are cached already.

The prompt is compared with the tokens that the session holds; only what follows the common beginning
is computed. Because the engine's bits depend on the tokens alone, an answer is the same whether its
prompt was cached, cut in pieces or computed at once.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pocketphi.runtime.abi import Cancelled
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.native import NativeSession, ProgressCallback
from pocketphi.runtime.writer import StopReason, Writer


@dataclass(frozen=True, kw_only=True)
class ReplyStats:
    """How an answer went."""

    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens whose keys were there already."""
    new_tokens: int
    prefill_seconds: float
    """From the start to the first token."""
    decode_seconds: float
    """From the first token to the last."""
    stop_reason: StopReason

    @property
    def decode_tokens_per_second(self) -> float:
        """Speed after the first token; 0 for an answer of one token."""
        return (self.new_tokens - 1) / self.decode_seconds if self.new_tokens > 1 else 0.0


class CachedSequence:
    """A native session together with the tokens that it holds.

    The native length is the truth: a step that was cancelled or failed has not moved it, so only that
    many of the noted tokens count.
    """

    def __init__(self, native: NativeSession) -> None:
        self.native = native
        self._noted: list[int] = []

    def rewind_to_prefix_of(self, prompt: Sequence[int]) -> int:
        """Keep the longest common beginning, short of the whole prompt; its length.

        At least one token stays to be computed, because its logits are wanted.
        """
        del self._noted[self.native.length :]
        most = min(len(self._noted), len(prompt) - 1)
        common = next((index for index in range(most) if self._noted[index] != prompt[index]), most)
        self.native.rewind(common)
        del self._noted[common:]
        return common

    def append(
        self, tokens: Sequence[int], cancel: CancelFlag, progress: ProgressCallback | None = None
    ) -> NDArray[np.float32]:
        """Compute `tokens`; (V,) logits of the last."""
        self._noted.extend(tokens)
        logits = self.native.step(tokens, cancel=cancel, progress=progress).logits
        assert logits is not None
        last: NDArray[np.float32] = logits[0]
        return last


@dataclass
class Answer:
    """An answer while it is written. Iterating `pieces` drives the model."""

    sequence: CachedSequence
    prompt: Sequence[int]
    writer: Writer
    cancel: CancelFlag
    progress: ProgressCallback | None = None
    _cached: int = field(default=0, init=False)
    _start: float = field(default=0.0, init=False)
    _first: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    @property
    def stats(self) -> ReplyStats:
        """So far; an answer that is not at its end counts as cancelled."""
        return ReplyStats(
            prompt_tokens=len(self.prompt),
            cached_tokens=self._cached,
            new_tokens=len(self.writer.tokens),
            prefill_seconds=self._first - self._start,
            decode_seconds=self._last - self._first,
            stop_reason=self.writer.stop_reason or StopReason.CANCELLED,
        )

    def pieces(self) -> Iterator[str]:
        """Text as it becomes certain. Ends early, without an exception, once `cancel` is set."""
        self._start = self._first = self._last = time.perf_counter()
        try:
            self._cached = self.sequence.rewind_to_prefix_of(self.prompt)
            logits = self.sequence.append(self.prompt[self._cached :], self.cancel, self.progress)
            self._first = self._last = time.perf_counter()
            while True:
                piece = self.writer.push(logits)
                self._last = time.perf_counter()
                if piece:
                    yield piece
                if self.writer.stop_reason is not None or self.cancel.is_set():
                    return
                # Crossing LongRoPE's border recomputes the whole sequence: as long as reading it, and as visible.
                progress = self.progress if self.sequence.native.stale(1) else None
                logits = self.sequence.append(self.writer.tokens[-1:], self.cancel, progress)
        except Cancelled:
            return
