"""What the scheduler is asked to do, and what it gives back while it works.

A `Job` is one sequence to write, in tokens: whoever submits it has rendered the conversation, and asks for `n` answers
by `n` jobs. A `Ticket` is a submitted job: its answer comes as `Piece`s to the function that was given with it, from
the scheduler's own thread, and `cancel` ends it at any time, from any thread.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.runtime.sampling import SamplingOptions, TokenLogprob
from pocketphi.runtime.writer import Matcher, StopReason


class Grammar(Protocol):
    """What answers may look like. One grammar serves any number of answers at once."""

    def start(self) -> Matcher:
        """The state before the first token."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One sequence to go on with."""

    prompt: tuple[int, ...]
    """Token ids, one or more."""
    max_tokens: int | None = None
    """End the answer after this many; None for what the context holds."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    stops: tuple[str, ...] = ()
    """Texts that end the answer and are no part of it."""
    stop_ids: frozenset[int] = frozenset()
    """Tokens that end the answer."""
    grammar: Grammar | None = None
    top_logprobs: int | None = None
    """How many of the likeliest tokens to name at each place, apart from the drawn one; None for no logprobs at all."""
    tenant: str = ""
    """Whose it is: prefixes are shared within a tenant alone, and waiting tenants take turns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbedJob:
    """A text whose hidden states are wanted, averaged over its tokens."""

    prompt: tuple[int, ...]
    tenant: str = ""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one step added to an answer. The last one of a ticket has a `stop_reason` or an `error`."""

    text: str = ""
    """Perhaps "": a character may need more tokens, a stop string may have begun."""
    tokens: tuple[int, ...] = ()
    """Drawn since the piece before; the one that ended the turn is not among them."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of `tokens`, if asked for."""
    embedding: NDArray[np.float32] | None = None
    """(D,) the answer to an `EmbedJob`."""
    stop_reason: StopReason | None = None
    error: UserError | None = None

    @property
    def is_last(self) -> bool:
        return self.stop_reason is not None or self.error is not None


class Ticket:
    """A submitted job. Times are of `time.monotonic`."""

    def __init__(
        self, job: Job | EmbedJob, on_piece: Callable[[Piece], None], end: Callable[["Ticket"], bool] | None = None
    ) -> None:
        self.job = job
        self.on_piece = on_piece
        """Called in the scheduler's thread, or in that which cancels: it must return at once, and never raise."""
        self.num_cached_tokens = 0
        """Tokens of the prompt that were read already, for an earlier job."""
        self.submitted_at = time.monotonic()
        self.started_at: float | None = None
        self.first_token_at: float | None = None
        self.ended_at: float | None = None
        self._end = end

    def cancel(self) -> None:
        """End it: in the line, while the prompt is read, or while the answer is written. Safe in any thread; the last
        piece then has `StopReason.CANCELLED`. Nothing happens if it has ended already.
        """
        if self._end is not None:
            self._end(self)


class QueueFullError(UserError):
    """Too many jobs wait already."""

    def __init__(self, *, waiting: int, retry_after_seconds: int) -> None:
        super().__init__(f"`{waiting}` requests wait already", hint=f"try again in {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds


class ShuttingDownError(UserError):
    """The scheduler takes no more jobs."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down", hint="try again when it is back")
