"""The running batch: jobs join and leave it between two steps of the engine.

A step takes one token of every answer that is being written, and beside them a piece of the prompts that are still
read, in the order in which they came. While anybody writes, that piece is short, so a long prompt delays nobody by more
than a few tokens' time; while nobody does, it is as long as the engine likes. Prompts are read one after another rather
than together: the first answers begin early and the last no later.

What prompts have in common is computed once. A job starts from the longest matching prefix that is kept
(`scheduler.kept`) or that a running job of its tenant has read; and where one that came before is just reading what it
needs too, it waits for that.

None of it changes a bit of any answer: the engine's results do not depend on how texts are cut up or mixed.

Whoever drives a batch does so from one thread: the scheduler's own, or the caller's (`runtime.native_backend`).
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pocketphi.errors import UserError
from pocketphi.runtime.abi import Positions
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import NativeSession, StepItem
from pocketphi.runtime.pages import Pages
from pocketphi.runtime.scheduler.job import EmbedJob, Job, Piece, Ticket
from pocketphi.runtime.scheduler.kept import FEWEST_TOKENS, KeptPrefixes, common_length, ids
from pocketphi.runtime.scheduler.running import Running
from pocketphi.runtime.writer import Limits, StopReason, Writer

PROMPT_TOKENS_ALONE = 512
"""Of prompts, in a step in which nobody writes: as many as the engine takes through its layers at once."""
PROMPT_TOKENS_BESIDE = 64
"""While others write. Measured on AMX: such a step takes about four times as long as one that only writes, with
SmolLM2-135M as with phi-3-mini, and reads prompts at four fifths of full speed."""
PROMPT_TOKENS_BRIEFLY = 4
"""After a step that was broken off, so that this one comes to its end whoever leaves meanwhile."""


class Batch:
    """Jobs at work on `model`; a context manager that frees their sessions.

    Args:
        prompt_tokens_beside: of prompts, in a step in which others write; more of them serve all sooner and each more
            jerkily.
    """

    def __init__(self, model: Model, *, prompt_tokens_beside: int = PROMPT_TOKENS_BESIDE) -> None:
        self.kept = KeptPrefixes()
        self.running: list[Running] = []
        """In the order in which they came."""
        self._model = model
        self._pages = Pages(model.engine)
        self._prompt_tokens_beside = prompt_tokens_beside

    def start(self, ticket: Ticket) -> bool:
        """Let a job join; False if it must wait until others leave, because pages are short.

        Raises:
            UserError: it could never run.
        """
        job = ticket.job
        prompt = ids(job.prompt)
        context = self._model.context_size
        # The last token written is never read: nothing follows it.
        most = 1 if isinstance(job, EmbedJob) else job.max_tokens or context
        longest = max(len(prompt), min(len(prompt) + most, context) - 1)
        is_long = len(prompt) > self._pages.border
        writer = self._writer(job) if isinstance(job, Job) else None
        session = self._model.engine.session()
        running = Running(ticket, prompt, longest, session, 0, 0, is_long, writer)
        self._find_prefix(running)
        if not self._reserve(running) and not self._reserve(self._anew(running)):
            running.session.close()
            if not self.running:
                raise UserError(
                    f"a sequence of `{longest}` tokens takes more memory than cached keys may have",
                    hint="ask for fewer tokens, or give more memory",
                )
            return False
        ticket.started_at = time.monotonic()
        self.running.append(running)
        return True

    def compose(self, *, briefly: bool = False) -> list[tuple[Running, int]]:
        """Who takes part in the next step, and with how many tokens. Nobody only if nobody runs."""
        for running in self.running:
            self._cross_border(running)
        writing = [running for running in self.running if running.is_writing]
        parts = [(running, 1) for running in writing]
        room = self._prompt_tokens_beside if writing else PROMPT_TOKENS_ALONE
        if briefly:
            room = PROMPT_TOKENS_BRIEFLY
        before: list[Running] = []
        for running in self.running:
            if running.is_writing:
                continue
            if room > 0:
                self._find_prefix(running)
                if not self._should_wait(running, before):
                    count = min(room, running.num_pending)
                    parts.append((running, count))
                    room -= count
            before.append(running)
        return parts

    def step(
        self, parts: Sequence[tuple[Running, int]], cancel: CancelFlag | None = None
    ) -> list[tuple[Ticket, Piece]]:
        """Move those composed forward; what came of it. Ended jobs have left the batch.

        Raises:
            Cancelled: `cancel` was set; nothing has changed.
        """
        items = [self._item(running, count) for running, count in parts]
        try:
            outputs = self._model.engine.step(items, cancel=cancel)
        except UserError as error:  # the engine's memory: those who asked for more than there is are told
            return [(running.ticket, self._fail(running, error)) for running, _ in parts]
        news = []
        for (running, count), output in zip(parts, outputs, strict=True):
            piece = running.take(count, output)
            if piece is not None:
                news.append((running.ticket, piece))
                if piece.is_last:
                    self._leave(running)
        return news

    def remove(self, ticket: Ticket) -> bool:
        """End a running job; what it has read is kept. False if it does not run."""
        for running in self.running:
            if running.ticket is ticket:
                self._leave(running)
                return True
        return False

    def close(self) -> None:
        """Free every session."""
        for running in tuple(self.running):
            self.running.remove(running)
            running.session.close()
        self.kept.clear()

    @property
    def usage(self) -> float:
        """Share of the pages that is in use, 0 to 1."""
        return 1 - self._pages.free / max(1, self._pages.total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _item(self, running: Running, count: int) -> StepItem:
        is_end = count == running.num_pending
        wants_hidden = running.writer is None
        return StepItem(
            session=running.session,
            tokens=running.pending(count),
            logits=Positions.LAST if is_end and not wants_hidden else Positions.NONE,
            hidden=Positions.ALL if wants_hidden else Positions.NONE,
            expected_length=running.num_tokens,
        )

    def _cross_border(self, running: Running) -> None:
        """An answer that grows beyond LongRoPE's border is read anew, in pieces like any prompt."""
        if running.is_long or running.num_tokens <= self._pages.border:
            return
        running.session.rewind(0)
        running.start = running.num_read = 0
        running.is_long = True

    def _find_prefix(self, running: Running) -> None:
        """Start from what has been read already, if that is more than the session has."""
        if not _is_new(running):
            return
        tenant, prompt = running.ticket.job.tenant, running.prompt[:-1]  # the last one's logits are wanted
        kept, most = self.kept.longest(tenant, prompt, is_long=running.is_long)
        donor: NativeSession | None = None if kept is None else kept.session
        for other in self.running:
            if other is not running and other.ticket.job.tenant == tenant and other.is_long == running.is_long:
                length = common_length(other.prompt[: other.num_read], prompt)
                if length > most:
                    donor, most, kept = other.session, length, None
        if donor is None or most < running.start + FEWEST_TOKENS:
            return
        if kept is not None:
            self.kept.touch(kept)
        fork = donor.fork()
        fork.rewind(most)
        running.session.close()
        running.session, running.start, running.num_read = fork, most, most
        running.ticket.num_cached_tokens = most
        running.pages = self._own_pages(running)

    def _should_wait(self, running: Running, before: Sequence[Running]) -> bool:
        """Whether a job that came before is reading now what this one could start from."""
        if not _is_new(running):
            return False
        tenant, prompt = running.ticket.job.tenant, running.prompt[:-1]
        for other in before:
            if other.ticket.job.tenant == tenant and other.is_long == running.is_long and other.writer is not None:
                common = common_length(other.prompt, prompt)
                if common >= max(other.num_read, running.num_read) + FEWEST_TOKENS:
                    return True
        return False

    def _reserve(self, running: Running) -> bool:
        """See to it that the pages which `running` may own are free, beside those that others may still take."""
        running.pages = self._own_pages(running)
        if sum(other.pages for other in self.running) + running.pages > self._pages.total:
            return False
        owed = sum(self._pages.owed(other.start, other.num_read, other.pages) for other in self.running)
        while running.pages > self._pages.free - owed:
            if not self.kept.drop_oldest():
                return False
        return True

    def _anew(self, running: Running) -> Running:
        """Without the prefix it starts from: a fork holds that one's last page and a copy of it, for a while."""
        running.session.close()
        running.session, running.start, running.num_read = self._model.engine.session(), 0, 0
        running.ticket.num_cached_tokens = 0
        return running

    def _own_pages(self, running: Running) -> int:
        restarts = not running.is_long and running.longest > self._pages.border
        return self._pages.own(running.start, running.longest, restarts=restarts)

    def _leave(self, running: Running) -> None:
        self.running.remove(running)
        running.ticket.ended_at = time.monotonic()
        if running.writer is not None:
            self.kept.add(running.kept())
        else:
            running.session.close()

    def _fail(self, running: Running, error: UserError) -> Piece:
        self.running.remove(running)
        running.ticket.ended_at = time.monotonic()
        running.session.close()
        return Piece(error=error)

    def _writer(self, job: Job) -> Writer:
        limits = Limits(
            context=self._model.context_size, max_tokens=job.max_tokens, stop_ids=job.stop_ids, stops=job.stops
        )
        return Writer(
            self._model.tokenizer,
            job.sampling,
            limits,
            prompt_length=len(job.prompt),
            matcher=None if job.grammar is None else job.grammar.start(),
            top_logprobs=job.top_logprobs,
        )


def _is_new(running: Running) -> bool:
    """Whether it may still start from what others have read: nothing was read for it, no hidden states are wanted."""
    is_untouched = running.num_read == running.start and running.num_tokens == len(running.prompt)
    return is_untouched and running.writer is not None


CANCELLED = Piece(stop_reason=StopReason.CANCELLED)
"""The last word to whoever has left, or was sent away."""
