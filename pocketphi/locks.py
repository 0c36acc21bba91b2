"""One process at a time: lock files that a kill cannot leave behind locked."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pocketphi.errors import UserError, reason_of

_SECONDS_BETWEEN_TRIES = 0.05


@contextmanager
def exclusive(path: Path, refusal: str, *, wait_seconds: float = 0.0) -> Iterator[int]:
    """Hold the lock file `path`, and yield its descriptor; the file is gone afterwards.

    Raises:
        UserError: `refusal`, if it is held by somebody else for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds

    def refuse(_owner: str) -> None:
        if time.monotonic() >= deadline:
            raise UserError(refusal, hint="wait until it is done, or choose another place")

    try:
        descriptor = acquire(path, refuse)
    except OSError as error:
        raise UserError(f"cannot write `{path}`: {reason_of(error)}") from error
    try:
        yield descriptor
    finally:
        release(path, descriptor)


def acquire(path: Path, on_busy: Callable[[str], None]) -> int:
    """Lock the file `path`, in a folder that exists, and return its descriptor; it tells the number of this process.

    The lock belongs to the kernel (`flock`): one whose owner was killed is free at once, and a child process that
    inherits the descriptor holds it too. The owner removes the file in the end; who waited for a removed file notices,
    and starts again on the one in its place.

    Args:
        on_busy: called before every pause with the owner's process number, or `?`; it may raise.

    Raises:
        OSError: the file cannot be opened or locked.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        is_kept = False
        try:
            if not _try_lock(descriptor):
                on_busy(os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "?")
            elif _is_same_file(descriptor, path):
                with suppress(OSError):  # a full disk locks as well as any
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, b"%d\n" % os.getpid())
                is_kept = True
                return descriptor
            else:
                continue
        finally:
            if not is_kept:
                os.close(descriptor)
        time.sleep(_SECONDS_BETWEEN_TRIES)


def release(path: Path, descriptor: int) -> None:
    """Give a lock back."""
    path.unlink(missing_ok=True)
    os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    """Whether it is still there: between opening and locking, its former owner may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
