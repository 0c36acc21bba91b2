"""Run programs that a model wrote: `run_program`, `run_many`.

Two processes are started for each, confined alike before they see a line of the program (`confine`): one defines the
code and answers, one runs the tests (`inside`). Neither can start another, so both are gone when they are killed. The
tests' process says `passed` together with a number drawn for this run, which the other one never has.
"""

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pocketphi.errors import UserError, reason_of
from pocketphi.eval.sandbox.confine import Cell
from pocketphi.eval.sandbox.inside import main

Status = Literal["passed", "failed", "error", "timed out", "out of memory", "killed"]

_BOOT = f"import sys; sys.path.insert(0, sys.argv[1]); from {main.__module__} import main; del sys.path[0]; main()"
_LONGEST_VERDICT = 1 << 16
_TAIL = 2000


@dataclass(frozen=True, kw_only=True)
class Program:
    """Code and its tests, which run apart from each other."""

    code: str
    """What a model wrote, as a whole module."""
    test: str
    """Takes what it tests from the module `solution`: `from solution import f`. It passes if it comes to its end."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may use. Memory, files and processor time: the code and its tests each."""

    seconds: float = 10.0
    """From the start to the verdict."""
    memory: int = 512 << 20
    """Bytes of address space."""
    file_bytes: int = 1 << 20
    """Of each file; of what is printed too."""
    scratch_bytes: int = 8 << 20
    scratch_files: int = 256

    def __post_init__(self) -> None:
        for name in ("seconds", "memory", "file_bytes", "scratch_bytes", "scratch_files"):
            if not getattr(self, name) > 0:
                raise UserError(f"`{name}` is {getattr(self, name)}", hint="a limit is more than 0")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a program."""

    status: Status
    """`failed`: an assertion did not hold; `error`: something else was raised, or the code ended before its tests;
    `killed`: it died of a signal, a crash for instance."""
    reason: str
    """One line; empty if it passed."""
    output: str
    """The end of what the code printed, and of its tracebacks."""
    seconds: float


class _Unavailable(Exception):
    """The sandbox could not be built."""


def why_unavailable() -> str | None:
    """What this machine lacks for a sandbox, as `needs ...`; None if it has all. Finds out by building one, once."""
    return _tried(sys.executable)


def run_program(program: Program, *, limits: Limits | None = None) -> Outcome:
    """Run the tests of a program.

    Raises:
        UserError: no sandbox can be built here. There is no other way to run a program.
    """
    require()
    try:
        return _run(program, limits or Limits())
    except _Unavailable as reason:
        raise UserError(
            f"the sandbox could not be built: {reason}", hint="docs/sandbox.md says what it needs"
        ) from None


def run_many(
    programs: Sequence[Program], *, workers: int | None = None, limits: Limits | None = None
) -> Iterator[Outcome]:
    """Run programs side by side, and yield what became of them in their order.

    Args:
        workers: programs at a time; as many as this process may use cores, if not given.
    """
    require()
    workers = workers or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers, thread_name_prefix="sandbox") as pool:
        futures = [pool.submit(run_program, program, limits=limits) for program in programs]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def require() -> None:
    """Raises `UserError` if programs cannot be run here."""
    reason = why_unavailable()
    if reason is not None:
        raise UserError(
            f"programs that a model wrote cannot be run safely here: {reason}",
            hint="leave out the code tasks, or run them on a machine that has it; docs/sandbox.md says what it takes",
        )


_PROBE = Program(
    code="""
import os, socket
def kept_in():
    for escape in (os.fork, socket.socket, lambda: os.listdir("/"), lambda: open("/etc/passwd"), lambda: os.kill(1, 0)):
        try:
            escape()
        except OSError:
            continue
        return False
    return True
""",
    test="from solution import kept_in\nassert kept_in()",
)


@cache
def _tried(_executable: str) -> str | None:
    if sys.platform != "linux":
        return f"needs a kernel with Landlock and seccomp: Linux; this is {sys.platform}"
    try:
        outcome = _run(_PROBE, Limits(seconds=60.0))
    except _Unavailable as reason:
        return f"needs a kernel with {reason}"
    if outcome.status != "passed":
        return f"needs a kernel with a sandbox that holds: {outcome.status}, {outcome.reason}"
    return None


def _run(program: Program, limits: Limits) -> Outcome:
    started = time.monotonic()
    nonce = secrets.token_hex(16)
    with ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="pocketphi-"))
        cell = _cell(scratch, limits)
        ends = [stack.enter_context(end) for end in socket.socketpair()]
        code = {"cell": cell, "source": program.code, "nonce": None}
        test = {"cell": cell, "source": program.test, "nonce": nonce}
        try:
            tested = stack.enter_context(_started(code, ends[0], output.fileno()))
            stack.callback(_kill, tested)
            testing = stack.enter_context(_started(test, ends[1], subprocess.PIPE))
            stack.callback(_kill, testing)
        except OSError as error:
            raise _Unavailable(f"processes to start: {reason_of(error)}") from error
        for end in ends:
            end.close()  # Theirs alone: each shall notice when the other ends.
        assert testing.stdout is not None
        said = _read(testing.stdout.fileno(), started + limits.seconds)
        status, reason = _verdict(said, nonce, tested, testing, limits)
        _kill(tested)
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _TAIL))
        text = output.read(_TAIL).decode("utf-8", errors="replace")
    return Outcome(status=status, reason=reason, output=text, seconds=time.monotonic() - started)


def _started(orders: dict[str, Any], channel: socket.socket, output: int) -> "subprocess.Popen[bytes]":
    with tempfile.TemporaryFile() as said:
        said.write(json.dumps({**orders, "channel": channel.fileno()}).encode())
        said.seek(0)
        return subprocess.Popen(
            # Without `-I`, which would ignore the one variable; an empty environment makes up for it.
            [_interpreter(), "-P", "-s", "-S", "-B", "-c", _BOOT, str(Path(__file__).parents[3])],
            stdin=said,
            stdout=output,
            stderr=output if output != subprocess.PIPE else subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},  # The same program has the same verdict, whatever order sets have.
            pass_fds=(channel.fileno(),),
            start_new_session=True,
            cwd="/",
        )


def _verdict(
    said: bytes | None,
    nonce: str,
    tested: "subprocess.Popen[bytes]",
    testing: "subprocess.Popen[bytes]",
    limits: Limits,
) -> tuple[Status, str]:
    late: tuple[Status, str] = ("timed out", f"no verdict after {limits.seconds:g} seconds")
    if said is None:
        return late
    try:
        repeated, status, reason = json.loads(said)
    except ValueError:
        repeated, status, reason = "", "", ""
    if not secrets.compare_digest(str(repeated), nonce):
        # The tests' own process ended: by their doing, or for lack of memory or time.
        code = _ended(testing)
        return _signalled(code, late) or ("error", "the tests ended before their end")
    if status == "unbuilt":
        raise _Unavailable(reason)
    if status == "gone":
        code = _ended(tested) if reason == "ended" else None
        return _signalled(code, late) or ("error", f"the code's process {reason} before the tests were over")
    assert status in get_args(Status)
    return status, reason


def _signalled(code: int | None, late: tuple[Status, str]) -> tuple[Status, str] | None:
    if code is None or code >= 0:
        return None
    if -code in (signal.SIGXCPU, signal.SIGKILL):  # The limit of processor time; both are sent at once.
        return late
    return "killed", signal.Signals(-code).name


def _ended(process: "subprocess.Popen[bytes]") -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(1.0)
    return None


def _read(descriptor: int, deadline: float) -> bytes | None:
    """All that is said until the end of file; None after the deadline."""
    said = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            part = os.read(descriptor, _LONGEST_VERDICT)
            said += part
            if not part or len(said) > _LONGEST_VERDICT:
                return said
    return None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _cell(scratch: str, limits: Limits) -> Cell:
    readable, hidden = _trees()
    return Cell(
        scratch=scratch,
        readable=readable,
        hidden=hidden,
        seconds=int(limits.seconds) + 1,
        memory=limits.memory,
        file_bytes=limits.file_bytes,
        scratch_bytes=limits.scratch_bytes,
        scratch_files=limits.scratch_files,
    )


@cache
def _interpreter() -> str:
    return str(Path(sys.executable).resolve())


@cache
def _trees() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What Python needs to read, and what of it a program shall not see: packages that somebody installed."""
    stdlib = {Path(os.__file__).resolve().parent, Path(sysconfig.get_path("platstdlib", vars=_BASE)).resolve()}
    machine = sysconfig.get_config_var("MULTIARCH")
    folders = [Path(root) / machine for root in ("/lib", "/usr/lib")] if machine else []
    folders = [folder for folder in folders if folder.is_dir()]
    folders = folders or [Path(root) for root in ("/lib64", "/usr/lib64", "/lib", "/usr/lib")]
    own = sorted(Path(sys.base_prefix, "lib").glob("lib*.so*"))
    paths = [*stdlib, *folders, *own, Path("/etc/ld.so.cache"), Path("/dev/urandom"), Path("/usr/share/zoneinfo")]
    readable = {str(path.resolve()) for path in paths if path.exists()}
    hidden = {folder / name for folder in stdlib for name in ("site-packages", "dist-packages")}
    return tuple(sorted(readable)), tuple(sorted(str(folder) for folder in hidden if folder.is_dir()))


_BASE = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
