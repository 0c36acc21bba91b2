"""The scheduler: one thread that drives the batch of one model, and a queue in front of it.

    submit ─► waiting line ─► batch ─► step, step, step ... ─► pieces, last piece
                 │ full: refused at once        ▲
                 └──── cancel: out of the line, or out of the batch within a step

Any thread may submit and cancel. A job that is cancelled in the line leaves it at once. One that runs leaves after the
current step; where that step is a long one, reading a prompt, it is broken off (the engine looks up at every layer),
and the others lose that step and nothing else. The step after a broken-off one is short and comes to its end, so
clients that come and go cannot keep the others from moving.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pocketphi.errors import UserError
from pocketphi.runtime.abi import Cancelled
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.batch import CANCELLED, Batch
from pocketphi.runtime.scheduler.job import EmbedJob, Job, Piece, QueueFullError, ShuttingDownError, Ticket
from pocketphi.runtime.scheduler.waiting import WaitingLine
from pocketphi.runtime.session import ContextFullError

LONG_STEP_TOKENS = 8
"""A step of more tokens may be broken off. Shorter ones end within 0.1 s, with phi-3-mini and without AMX too."""
_LONGEST_STEP_SECONDS = 5.0
_USUAL_SECONDS = 5.0
_RETRY_SECONDS = (1, 60)


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
        parallel: jobs that run at once.
        max_waiting: jobs that may wait beyond those; one more raises `QueueFullError`.
        turn: held during every step. Models on one machine share a lock here: two engines that compute at once take
            each other's cores.
    """

    def __init__(
        self,
        model: Model,
        *,
        parallel: int = 8,
        max_waiting: int = 64,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        if parallel < 1 or max_waiting < 0:
            raise UserError(
                f"`parallel` is `{parallel}`, `max_waiting` `{max_waiting}`", hint="give 1 or more, 0 or more"
            )
        self.model = model
        self.parallel = parallel
        self.max_waiting = max_waiting
        self._turn = nullcontext() if turn is None else turn
        self._batch = Batch(model)
        self._line = WaitingLine()
        self._changed = threading.Condition()
        """Guards everything below and the line; the batch is the worker's alone."""
        self._running: set[Ticket] = set()
        self._leaving: list[Ticket] = []
        self._flag = CancelFlag()
        self._may_break_off = False
        self._is_refusing = self._is_closed = False
        self._seconds = _USUAL_SECONDS
        self._usage, self._kept = 0.0, 0
        self._prompt_tokens = self._cached_tokens = self._generated_tokens = self._steps = 0
        self._worker = threading.Thread(target=self._work, name=f"pocketphi-{model.name}", daemon=True)
        self._worker.start()

    def submit(self, job: Job | EmbedJob, on_piece: Callable[[Piece], None]) -> Ticket:
        """Put a job in the line. Any thread.

        Args:
            on_piece: gets the answer; it must return at once and never raise, and it must not call the scheduler.

        Raises:
            ContextFullError: the prompt leaves no room for an answer.
            QueueFullError: too many wait.
            ShuttingDownError: nothing new is taken.
        """
        context = self.model.context_size
        needed = len(job.prompt) + (0 if isinstance(job, EmbedJob) else 1)
        if not job.prompt:
            raise UserError("the prompt is empty", hint="give at least one token")
        if needed > context:
            raise ContextFullError(needed=needed, context=context)
        ticket = Ticket(job, on_piece, self._cancel)
        with self._changed:
            if self._is_refusing:
                raise ShuttingDownError
            if not self._line.add(ticket, self._places):
                raise self._full()
            self._changed.notify_all()
        return ticket

    def check_room(self, tenant: str) -> None:
        """Whether a job of `tenant` would find a place now: to refuse before its prompt is made. Any thread.

        Raises:
            QueueFullError: it would not.
        """
        with self._changed:
            if not self._line.has_place(tenant, self._places):
                raise self._full()

    def stats(self) -> SchedulerStats:
        """Any thread."""
        with self._changed:
            return SchedulerStats(
                running=len(self._running),
                waiting=len(self._line),
                cache_usage=self._usage,
                kept_prefixes=self._kept,
                prompt_tokens=self._prompt_tokens,
                cached_tokens=self._cached_tokens,
                generated_tokens=self._generated_tokens,
                steps=self._steps,
            )

    def drain(self, seconds: float) -> int:
        """Take nothing new, and wait until everybody is served, at most so long; how many were cut short then."""
        with self._changed:
            self._is_refusing = True
            self._changed.wait_for(lambda: not self._running and not len(self._line), seconds)
            cut = [*self._line, *self._running]
        for ticket in cut:
            self._cancel(ticket)
        with self._changed:
            self._changed.wait_for(lambda: not self._running, _LONGEST_STEP_SECONDS)
        return len(cut)

    def close(self) -> None:
        """End everything at once and free the sessions; the model stays open. A second call does nothing."""
        self.drain(0)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def __enter__(self) -> "Scheduler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cancel(self, ticket: Ticket) -> bool:
        """Take a ticket out, from any thread; False if it is neither in the line nor running."""
        with self._changed:
            was_waiting = self._line.remove(ticket)
            if not was_waiting:
                if ticket not in self._running:
                    return False
                self._leaving.append(ticket)
                if self._may_break_off:
                    self._flag.set()
            self._changed.notify_all()
        if was_waiting:
            ticket.on_piece(CANCELLED)
        return True

    @property
    def _places(self) -> int:
        """Jobs that the line holds: those that may wait, and those that start at once."""
        return self.max_waiting + self.parallel - len(self._running)

    def _full(self) -> QueueFullError:
        waiting = len(self._line)
        shortest, longest = _RETRY_SECONDS
        seconds = max(shortest, min(longest, round(self._seconds * (1 + waiting) / self.parallel)))
        return QueueFullError(waiting=waiting, retry_after_seconds=seconds)

    # The worker's side.

    def _work(self) -> None:
        try:
            with self._batch:
                self._serve()
        finally:
            self._give_up()

    def _serve(self) -> None:
        briefly = False
        while self._admit():
            parts = self._batch.compose(briefly=briefly)
            is_long = sum(count for _, count in parts) > LONG_STEP_TOKENS
            with self._changed:
                self._may_break_off = is_long and not briefly
            try:
                with self._turn:
                    news = self._batch.step(parts, self._flag)
                briefly = False
            except Cancelled:
                news, briefly = [], True
            self._tell(news)

    def _give_up(self) -> None:
        """Nobody is left waiting for a thread that is gone, not even if a bug ended it."""
        with self._changed:
            self._is_refusing = self._is_closed = True
            left = [*self._line, *self._running]
            for ticket in left:
                self._line.remove(ticket)
            self._running.clear()
            self._changed.notify_all()
        for ticket in left:
            ticket.on_piece(CANCELLED)

    def _admit(self) -> bool:
        """Let those leave who want to and those join for whom there is room, until somebody runs. False at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running or len(self._line) or self._is_closed)
                if self._is_closed:
                    return False
                leaving, self._leaving = self._leaving, []
            left = [ticket for ticket in leaving if self._batch.remove(ticket)]
            self._forget(left)
            for ticket in left:
                ticket.on_piece(CANCELLED)
            self._let_in()
            if self._batch.running:
                return True

    def _let_in(self) -> None:
        while len(self._batch.running) < self.parallel:
            with self._changed:
                ticket = self._line.first()
                if ticket is None:
                    return
            try:
                has_room = self._batch.start(ticket)
                error = None
            except UserError as refusal:
                has_room, error = True, refusal
            if not has_room:
                return
            with self._changed:
                was_waiting = self._line.take(ticket)
                if was_waiting and error is None:
                    self._running.add(ticket)
            if not was_waiting:  # cancelled meanwhile
                self._batch.remove(ticket)
            elif error is not None:
                ticket.on_piece(Piece(error=error))

    def _tell(self, news: list[tuple[Ticket, Piece]]) -> None:
        usage, kept = self._batch.usage, len(self._batch.kept)
        with self._changed:
            self._may_break_off = False
            self._flag.clear()
            self._usage, self._kept = usage, kept
            self._steps += 1
            self._generated_tokens += sum(len(piece.tokens) for _, piece in news)
        self._forget([ticket for ticket, piece in news if piece.is_last])
        for ticket, piece in news:
            ticket.on_piece(piece)

    def _forget(self, ended: list[Ticket]) -> None:
        if not ended:
            return
        with self._changed:
            for ticket in ended:
                self._running.discard(ticket)
                self._prompt_tokens += len(ticket.job.prompt)
                self._cached_tokens += ticket.num_cached_tokens
                if ticket.started_at is not None:
                    self._seconds += 0.1 * (time.monotonic() - ticket.started_at - self._seconds)
            self._changed.notify_all()
