"""A conversation at a terminal: what is asked, how the answer is shown and stopped, what to do when it is full.

Ctrl-C while an answer is written stops the answer: the handler only sets the session's cancel flag,
which the engine polls at every layer. A second Ctrl-C before it has stopped leaves the program.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from pocketphi.chat import Message
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.session import ContextFullError, Session
from pocketphi.runtime.writer import StopReason
from pocketphi.serve.screen import ReadingProgress, Screen

ROOM_FOR_ANSWER = 256
"""Tokens that dropping old turns should leave for the answer, if the context is large enough."""


@dataclass
class Talk:
    """One conversation and everything it is held with."""

    session: Session
    model_name: str
    sampling: SamplingOptions
    max_tokens: int | None
    screen: Screen
    ask: Callable[[str], str]
    """Show a question, return the line typed; raises `EOFError` or `KeyboardInterrupt` when there is none."""
    edit: Callable[[str], str]
    """Let a text be changed."""
    saved: tuple[Message, ...] = field(default=())
    """The messages as they were last saved or loaded."""

    def say(self, text: str) -> bool:
        """Ask `text` and show the answer. False if it was not asked: stopped before, or the context stayed full."""
        try:
            self.show(lambda progress: self._reply(text, progress))
        except ContextFullError as full:
            if not self._make_room(text, full):
                return False
            self.show(lambda progress: self._reply(text, progress))
        return self._has_begun()

    def regenerate(self) -> None:
        """Write the latest answer again."""
        self.show(
            lambda progress: self.session.regenerate(
                max_tokens=self.max_tokens, sampling=self.sampling, progress=progress
            )
        )

    def show(self, start: Callable[[ReadingProgress], Iterator[str]]) -> None:
        """Show the answer that `start` begins, until it ends or Ctrl-C stops it."""
        with stoppable(self.session) as was_stopped:
            pieces = start(ReadingProgress(self.screen))
            if was_stopped():  # before there was an answer that could be cancelled
                self.session.cancel()
            try:
                for piece in pieces:
                    self.screen.piece(piece)
            finally:
                self.screen.line()
        self._remark()
        self.screen.line()

    def ask_yes(self, question: str) -> bool:
        """Whether the answer to `question` is yes; anything else is no."""
        try:
            return self.ask(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
        except (EOFError, KeyboardInterrupt):
            return False

    def _reply(self, text: str, progress: ReadingProgress) -> Iterator[str]:
        return self.session.reply(text, max_tokens=self.max_tokens, sampling=self.sampling, progress=progress)

    def _has_begun(self) -> bool:
        """Whether the latest answer got as far as a token; only then is its question part of the conversation."""
        stats = self.session.stats
        return stats is not None and (stats.new_tokens > 0 or stats.stop_reason != StopReason.CANCELLED)

    def _remark(self) -> None:
        """Say why the answer ended, where that is not plain."""
        stats = self.session.stats
        if stats is None:
            return
        if stats.stop_reason == StopReason.CANCELLED:
            self.screen.notice("(stopped)" if stats.new_tokens else "(stopped before the answer began: not asked)")
        elif stats.stop_reason == StopReason.LENGTH:
            self.screen.notice(f"(cut after {stats.new_tokens:,} tokens, the limit that `--max-tokens` sets)")
        elif stats.stop_reason == StopReason.CONTEXT:
            self.screen.notice(
                f"(the answer is cut: the context of {self.session.context_size:,} tokens is full; "
                "your next message will offer what to drop)"
            )
        elif not stats.new_tokens:
            self.screen.notice("(the model gave an empty answer)")

    def _make_room(self, text: str, full: ContextFullError) -> bool:
        """Offer what to drop so that `text` fits, and do it. False if nothing is to be dropped."""
        session, size = self.session, self.session.context_size
        self.screen.notice(f"the context is full: with this message {full.needed:,} tokens, it holds {size:,}")
        turns = sum(message.role == "user" for message in session.messages)
        if not turns or session.tokens_needed(text, drop=turns) >= size:
            self.screen.notice("the message alone does not fit: shorten it, or start with a larger `--context`")
            return False
        room = min(ROOM_FOR_ANSWER, size // 8)
        fits = [drop for drop in range(1, turns) if session.tokens_needed(text, drop=drop) + room <= size]
        if fits:
            what = "the oldest exchange" if fits[0] == 1 else f"the {fits[0]} oldest exchanges"
            needed = session.tokens_needed(text, drop=fits[0])
            self.screen.line(f"  d  drop {what} of {turns} ({needed:,} tokens then)")
        needed = session.tokens_needed(text, drop=turns)
        self.screen.line(f"  n  start a new conversation with this message ({needed:,} tokens)")
        self.screen.line("  c  cancel and keep everything; /save and /undo may help")
        try:
            choice = self.ask("d, n or c? " if fits else "n or c? ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            choice = "c"
        if choice == "d" and fits:
            session.drop_oldest(fits[0])
        elif choice == "n":
            session.drop_oldest(turns)
        else:
            self.screen.notice("cancelled: nothing was asked, nothing was dropped")
            return False
        return True


@contextmanager
def stoppable(session: Session) -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C cancel what `session` does, and a second one raise; yields a test whether it was pressed."""
    presses = 0

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt
        session.cancel()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: presses > 0
    finally:
        signal.signal(signal.SIGINT, before)
