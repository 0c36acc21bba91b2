"""contract: being written by the lead."""

from collections.abc import Callable
from dataclasses import dataclass

from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.job import EmbedJob, Job, Piece, Ticket


@dataclass(frozen=True, kw_only=True)
class SchedulerStats:
    """What a scheduler does now, and has done since it started."""

    running: int
    waiting: int
    cache_usage: float
    """Share of the page budget that running answers and kept prefixes take, 0 to 1."""
    kept_prefixes: int
    prompt_tokens: int
    cached_tokens: int
    """Of the prompt tokens, those that were read for an earlier job."""
    generated_tokens: int
    steps: int


class Scheduler:
    """Runs jobs on `model`, several at once.

    Args:
        parallel: answers that are written at once.
        max_waiting: jobs that may wait; one more raises `QueueFullError`.
    """

    def __init__(self, model: Model, *, parallel: int = 8, max_waiting: int = 64) -> None: ...

    def submit(self, job: Job | EmbedJob, on_piece: Callable[[Piece], None]) -> Ticket:
        """Any thread. Raises `ContextFullError` (runtime.session) at once if the prompt leaves no room for an answer, `QueueFullError`, `ShuttingDownError`."""
        raise NotImplementedError

    def stats(self) -> SchedulerStats: raise NotImplementedError

    def drain(self, seconds: float) -> int:
        """Take no more jobs, wait until the running ones are done, end the others after `seconds`; how many were cut (their last piece has stop_reason CANCELLED)."""
        raise NotImplementedError

    def close(self) -> None:
        """End everything at once and free the sessions."""
