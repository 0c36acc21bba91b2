"""What was typed before, kept over sessions in one file that only its owner can touch.

The file is read at every start and shown on the arrow keys, so it is treated as input from a stranger:
one that others can write, that is huge, or that is not in the format of prompt-toolkit is moved aside,
never deleted, and the chat starts with an empty one.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from pocketphi.errors import reason_of

MAX_FILE_BYTES = 4 << 20
MAX_ENTRY_CHARACTERS = 20_000
"""A pasted document is not worth finding with the arrow keys."""


class PromptHistory(FileHistory):
    """prompt-toolkit's history file, without pasted documents, tolerant of a disk that fills up."""

    def store_string(self, string: str) -> None:
        if len(string) > MAX_ENTRY_CHARACTERS:
            return
        try:
            super().store_string(string.encode("utf-8", "replace").decode())
        except OSError:
            return  # the entry stays on the arrow keys of this session


def open_history(path: Path, warn: Callable[[str], None]) -> History:
    """The history at `path`, or one in memory where the file cannot be had; `warn` hears why."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        problem = _problem(path)
        if problem is not None:
            warn(f"the history file {problem}: moved to `{_move_aside(path)}`")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        owner = os.fstat(file).st_uid
        os.close(file)
        if owner != os.getuid():  # such as under sudo: leave the file to the one it belongs to
            warn(f"no history: `{path}` belongs to another user")
            return InMemoryHistory()
    except OSError as error:
        warn(f"no history: cannot write `{path}`: {reason_of(error)}")
        return InMemoryHistory()
    return PromptHistory(str(path))


def _problem(path: Path) -> str | None:
    """What is wrong with the file, as the end of a sentence; None for a good or absent one."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_mode & 0o022:
        return "can be written by others"
    if status.st_size > MAX_FILE_BYTES:
        return f"is larger than {MAX_FILE_BYTES >> 20} MiB"
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return "is damaged"
    # Every entry is a `# time` line and its own lines behind a `+`.
    if any(line and (line[0] not in "#+" or "\x00" in line) for line in lines):
        return "is damaged"
    return None


def _move_aside(path: Path) -> Path:
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.bad-{number}")):
        number += 1
    path.rename(aside)
    return aside
