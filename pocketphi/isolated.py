"""A function in a process of its own: its memory is free when it ends, its crash is an error, it dies with its caller.

The child gets its orders as one line on standard input, and then waits there in a thread: the end of that file means
that the caller is gone, whichever way it went, and ends the child at once. It leads a process group of its own, so that
workers which its libraries start end with it. What the function reports comes back as
JSON lines on a pipe; what it and its libraries print goes to a log file.
"""

import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError, missing_library

Send = Callable[[Any], None]
"""Takes a JSON value to the caller."""

_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from pocketphi.isolated import _serve; _serve()"
_SECONDS_TO_END = 5.0
"""What a child gets to clean up at its end, after Ctrl-C for instance."""


def call(
    function: Callable[[Any, Send], Any],
    argument: Any,
    *,
    log: Path,
    on_message: Callable[[Any], None],
    keep: Sequence[int] = (),
) -> Any:
    """Run `function(argument, send)` in a new process and return what it returns.

    Args:
        function: a function at the top of a module.
        argument: a JSON value, as are the messages and the result.
        log: where its standard output and error are appended.
        on_message: called with each value that the function sends.
        keep: descriptors that the child holds open too, locks for instance.

    Raises:
        UserError: the one that the function raised; or the child was killed, by a lack of memory for instance.
        RuntimeError: the function failed in another way; a note holds its traceback.
    """
    here, there = os.pipe()
    with log.open("ab") as output, os.fdopen(here, "rb") as messages:
        orders = {
            "module": function.__module__,
            "function": function.__qualname__,
            "argument": argument,
            "messages": there,
            "keep": list(keep),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, *sys.path],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(there, *keep),
            process_group=0,
        )
        os.close(there)
        assert process.stdin is not None
        ending: dict[str, Any] = {}
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(orders).encode() + b"\n")
                process.stdin.flush()
            while not ending and (line := messages.readline()).endswith(b"\n"):
                said = json.loads(line)
                if "message" in said:
                    on_message(said["message"])
                else:
                    ending = said
        except BaseException:
            # Ctrl-C above all: a terminal sends it to the caller alone, whose group it is.
            _signal_group(process.pid, signal.SIGINT)
            raise
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
    if "result" in ending:
        return ending["result"]
    raise _reason(ending, process.returncode, log)


def _reason(ending: dict[str, Any], code: int, log: Path) -> BaseException:
    if "interrupted" in ending:
        return KeyboardInterrupt()
    if "error" in ending:
        return UserError(ending["error"], hint=ending["hint"])
    if "bug" in ending:
        error = RuntimeError(ending["bug"])
        error.add_note(ending["traceback"])
        return error
    if code < 0:
        return UserError(
            f"its process was killed by {signal.Signals(-code).name}",
            hint=f"if memory ran out, close other programs and run the same command again; `{log}` may say more",
        )
    return RuntimeError(f"its process ended with exit code {code}; `{log}` may say more")


def _serve() -> None:
    """The child."""
    orders = json.loads(sys.stdin.buffer.readline())
    for descriptor in (orders["messages"], *orders["keep"]):
        os.set_inheritable(descriptor, False)
    threading.Thread(target=_die_with_caller, daemon=True).start()
    faulthandler.enable()
    with os.fdopen(orders["messages"], "wb") as messages:

        def say(value: dict[str, Any]) -> None:
            messages.write(json.dumps(value).encode() + b"\n")
            messages.flush()

        try:
            function = getattr(importlib.import_module(orders["module"]), orders["function"])
            say({"result": function(orders["argument"], lambda value: say({"message": value}))})
        except UserError as error:
            say({"error": error.message, "hint": error.hint})
        except KeyboardInterrupt:
            say({"interrupted": True})
        except MemoryError:
            say({"error": "out of memory", "hint": "close other programs, and run the same command again"})
        except Exception as error:  # noqa: BLE001 - the caller raises it again
            if (known := missing_library(error)) is not None:
                say({"error": known.message, "hint": known.hint})
                return
            trace = traceback.format_exc()
            print(trace, file=sys.stderr)
            say({"bug": f"{type(error).__name__}: {error}", "traceback": trace})


def _die_with_caller() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
