"""One process at a time: lock files that a kill cannot leave behind locked."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketphi.errors import UserError


@contextmanager
def exclusive(path: Path, refusal: str, *, wait_seconds: float = 0.0) -> Iterator[int]:
    """Hold the lock file `path`, and yield its descriptor; the file is gone afterwards.

    The lock belongs to the kernel (`flock`): one whose owner was killed is free at once, and a child process that
    inherits the descriptor holds it too.

    Raises:
        UserError: `refusal`, if it is held by somebody else for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UserError(f"cannot write `{path}`: {(error.strerror or str(error)).lower()}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking, its former owner may have removed the file.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                break
            os.close(descriptor)
        except FileNotFoundError:
            os.close(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise UserError(f"cannot lock `{path}`: {(error.strerror or str(error)).lower()}") from error
            if time.monotonic() >= deadline:
                raise UserError(refusal, hint="wait until it is done, or choose another place") from None
            time.sleep(0.05)
    try:
        yield descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
