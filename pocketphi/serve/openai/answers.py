"""The answers to one request, on their way from the scheduler's thread to the event loop.

The scheduler's thread appends pieces to a deque that all requests share and wakes the loop once, however many pieces
the step had; the loop hands them to the requests that wait. That is all that a token costs between the two.

A request that ends early, because its client left, its time is up or its connection failed, cancels every one of its
tickets: in the line, while the prompt is read and while the answer is written.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.types import Receive

from pocketphi.errors import UserError
from pocketphi.runtime.scheduler.job import EmbedJob, Job, Piece, QueueFullError, Ticket
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.runtime.writer import StopReason
from pocketphi.serve.openai.errors import ApiError

Ready = list[tuple[int, Piece]]
"""Pieces with the number of the answer that each belongs to, in order."""
_RETRY_SECONDS = 0.05


class ClientLeft(Exception):
    """Nobody is there to answer to."""


class Handover:
    """Carries pieces from the schedulers' threads to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._pieces: deque[tuple[Answers, int, Piece]] = deque()
        self._is_waking = False

    def put(self, answers: "Answers", index: int, piece: Piece) -> None:
        """From any thread."""
        self._pieces.append((answers, index, piece))
        if not self._is_waking:  # cleared before the deque is emptied, so that no piece is left behind
            self._is_waking = True
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_waking = False
        pieces = self._pieces
        while pieces:
            answers, index, piece = pieces.popleft()
            answers.take(index, piece)


class Answers:
    """What a request asked for, while it is written.

    As many of its jobs as can run at once are in the scheduler's hands; the others follow as those end, so a request
    for many answers neither fills the line nor fails for its own length.

    Raises:
        UserError: the scheduler does not take the first of the jobs.
    """

    def __init__(self, scheduler: Scheduler, jobs: Sequence[Job | EmbedJob], handover: Handover) -> None:
        self.tickets: list[Ticket | None] = [None] * len(jobs)
        """None as long as the scheduler does not have the job."""
        self.num_open = len(jobs)
        self.num_tokens = 0
        """Written so far, in all answers."""
        self.token_at: list[float | None] = [None] * len(jobs)
        """When each answer's last token arrived, by `time.monotonic`."""
        self._scheduler, self._handover = scheduler, handover
        self._jobs = deque(enumerate(jobs))
        self._num_running = 0
        self._ready: Ready = []
        self._waiter: asyncio.Future[None] | None = None
        self._has_left = False
        self._submit_next()
        self._submit_more()

    def take(self, index: int, piece: Piece) -> None:
        """A piece arrived. On the loop."""
        self._ready.append((index, piece))
        if piece.is_last:
            self._num_running -= 1
            self._submit_more()
        self.wake()

    def _submit_next(self) -> None:
        index, job = self._jobs[0]
        self.tickets[index] = self._scheduler.submit(job, partial(self._handover.put, self, index))
        self._jobs.popleft()
        self._num_running += 1

    def _submit_more(self) -> None:
        """Hand over jobs, as long as the request has a place and the line too."""
        try:
            while self._jobs and self._num_running < self._scheduler.parallel:
                self._submit_next()
        except QueueFullError:
            if not self._num_running:  # nothing of our own will end and bring us back here
                self._handover.loop.call_later(_RETRY_SECONDS, self._submit_more)
        except UserError as error:
            self._ready.append((self._jobs[0][0], Piece(error=error)))
            self.wake()

    def wake(self) -> None:
        """Let `ready` return, with what there is."""
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None

    def leave(self) -> None:
        """The client is gone."""
        self._has_left = True
        self.cancel()
        self.wake()

    def cancel(self) -> None:
        """End what is not at its end."""
        self._jobs.clear()
        for ticket in self.tickets:
            if ticket is not None:
                ticket.cancel()

    async def ready(self) -> Ready:
        """All pieces that arrived since the last call, one or more; none if `wake` was called from outside.

        Raises:
            ApiError: an answer failed, or the server ends before it is done.
            ClientLeft: nobody reads this any more.
        """
        if not self._ready and not self._has_left:
            self._waiter = self._handover.loop.create_future()
            await self._waiter
        if self._has_left:
            raise ClientLeft
        ready, self._ready = self._ready, []
        for _, piece in ready:
            self.num_tokens += len(piece.tokens)
            if piece.error is not None:
                raise ApiError.of(piece.error)
            if piece.stop_reason is not None:
                if piece.stop_reason is StopReason.CANCELLED:
                    raise ApiError(
                        "the server is shutting down; try again when it is back", status=503, code="shutting_down"
                    )
                self.num_open -= 1
        return ready


@asynccontextmanager
async def followed(answers: Answers, receive: Receive, *, seconds: float) -> AsyncIterator[None]:
    """Within this, `answers` end when the client leaves or the time is up, and at the end in any case.

    Args:
        receive: of the request, whose body was read.

    Raises:
        ApiError: the time is up.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        answers.leave()

    watcher = asyncio.ensure_future(watch())
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ApiError.timeout(seconds) from None
    finally:
        watcher.cancel()
        if answers.num_open:
            answers.cancel()
