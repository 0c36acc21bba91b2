"""What the chat writes on a terminal: answers, notices and one line of progress.

Everything that a model, a file or a person wrote goes through `printable`. The only escapes that reach
the terminal are the two that make a notice faint.
"""

import shutil
import time
from dataclasses import dataclass, field
from typing import TextIO

from pocketphi.serve.text import printable

PROGRESS_AFTER_SECONDS = 0.4
"""A shorter wait shows no progress: it would only flicker."""

_NARROWEST_PROGRESS = 40


@dataclass
class Screen:
    """Writes to a terminal in its usual, line-wise mode."""

    out: TextIO
    has_colour: bool
    _progress_width: int = field(default=0, init=False)
    _is_in_line: bool = field(default=False, init=False)

    def piece(self, text: str) -> None:
        """A piece of an answer, as it comes."""
        self.clear_progress()
        self._write(printable(text))

    def line(self, text: str = "") -> None:
        """A result of a command."""
        self.clear_progress()
        self._write(printable(text) + "\n")

    def notice(self, text: str) -> None:
        """Something about the conversation that is no part of it."""
        self.clear_progress()
        shown = printable(text)
        self._write(f"\x1b[2m{shown}\x1b[0m\n" if self.has_colour else f"{shown}\n")

    def progress(self, text: str) -> None:
        """Replace the line of progress; the next output removes it."""
        if shutil.get_terminal_size().columns < _NARROWEST_PROGRESS:
            return
        shown = printable(text)[: _NARROWEST_PROGRESS - 1]
        start = "\n" if self._is_in_line and not self._progress_width else "\r"
        self._write(start + shown.ljust(self._progress_width))
        self._progress_width = len(shown)

    def clear_progress(self) -> None:
        if self._progress_width:
            self._write("\r" + " " * self._progress_width + "\r")
            self._progress_width = 0

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
        self._is_in_line = text[-1:] not in {"", "\n", "\r"}


class ReadingProgress:
    """The engine's progress callback while it reads a prompt, or reads everything again beyond LongRoPE's border."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._started = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._started >= PROGRESS_AFTER_SECONDS and done < total:
            self._screen.progress(f"reading: {done:,} of {total:,} tokens")
