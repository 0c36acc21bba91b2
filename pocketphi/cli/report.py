"""How the command line ends: the exit code, and what is said on standard error.

    0    done; a reader that closed the pipe early (`| head -1`) is no error
    1    an error that the user can fix, or a bug
    2    wrong usage; a name that no model has is one
    130  interrupted

Every error is one message: what is wrong, and a hint on the repair. Only `--debug` shows a traceback.
"""

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

import typer

from pocketphi.cli import INTERRUPTED
from pocketphi.errors import UsageError, UserError, missing_library, reason_of
from pocketphi.serve.text import printable

_QUOTED = re.compile(r"'([^']*)'")
_SURROUNDINGS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose another place",
    errno.EACCES: "check who may use it",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}
"""Failures of the machine rather than of the program, and what to do."""


def notice(text: str) -> None:
    """Say something on standard error, where it is in nobody's way; names and values in it may be a stranger's.

    If nobody reads it any more (`2>&1 | head`), the work goes on in silence.
    """
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except BrokenPipeError:
        _discard(sys.stderr)


def run(command: Callable[[], int | None], *, shows_traceback: bool) -> int:
    """Call `command` and turn every way it can end into an exit code and at most one message."""
    try:
        code = command()
        sys.stdout.flush()
        return code or 0
    except (KeyboardInterrupt, typer.Abort):  # the latter in the middle of a question
        return INTERRUPTED
    except SystemExit as end:
        # typer ends the process itself when a pipe is closed
        return _closed_pipe() if isinstance(end.__context__, BrokenPipeError) else int(end.code or 0)
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported, not shown as a traceback
        code, message, hint = _explain(error)
        notice(f"error: {message}" if hint is None else f"error: {message}\n\nhint: {hint}")
        if shows_traceback:
            traceback.print_exception(error, file=sys.stderr)
        return code


def _explain(error: Exception) -> tuple[int, str, str | None]:
    """Exit code, message and hint for what went wrong."""
    error = missing_library(error) or error
    if isinstance(error, UserError):
        return 2 if isinstance(error, UsageError) else 1, error.message, error.hint
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        message = _QUOTED.sub(r"`\1`", error.format_message()).rstrip(".")
        hint = None if context is None else f"`{context.command_path} --help` lists what it takes"
        return error.exit_code, message[:1].lower() + message[1:], hint
    if isinstance(error, MemoryError):
        return 1, "out of memory", "close other programs, or take a smaller model or `--context`"
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        place = f"`{error.filename}`: " if error.filename else ""
        return 1, f"{place}{reason_of(error)}", _SURROUNDINGS[error.errno]
    return (
        1,
        f"this is a bug in pocketphi: {type(error).__name__}: {error}",
        "run it again as `pocketphi --debug ...` and report what it prints",
    )


def open_streams() -> None:
    """Make the three standard streams usable whatever the caller left of them.

    A closed one becomes the null device, so that the next file opened does not take its place; a
    character that the terminal's encoding lacks is written as an escape instead of raising.
    """
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="replace"))
        elif number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _closed_pipe() -> int:
    """Nobody reads standard output any more."""
    _discard(sys.stdout)
    return 0


def _discard(stream: TextIO) -> None:
    """Let the rest of what is written to `stream` vanish."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
