"""Writing to disk with care: room checked beforehand, errors that say what to do, one process at a time."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketphi.errors import UserError

_KEPT_FREE = 64 << 20
"""Bytes left alone on every disk: a disk filled to the last byte breaks other programs first."""


def check_free_space(folder: Path, num_bytes: int, what: str) -> None:
    """Refuse to start what cannot fit: `num_bytes` more in `folder`, which exists."""
    free = shutil.disk_usage(folder).free
    needed = num_bytes + _KEPT_FREE
    if num_bytes > 0 and needed > free:
        raise UserError(
            f"{what} needs {human_size(needed)} on the disk of `{folder}`, which has {human_size(free)}",
            hint="free some space, or set `XDG_CACHE_HOME` to a folder on a larger disk",
        )


def human_size(num_bytes: int) -> str:
    """`num_bytes` for people: `98.4 MB`, `2.1 GB` (powers of 1000, as disks are sold)."""
    size, unit = float(num_bytes), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.95:
            break
        size, unit = size / 1000, larger
    return f"{num_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` met while writing at `path` into what a person can do about it."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "free some space and run the same command again"
            raise UserError(f"`{path}`: the disk is full", hint=hint) from error
        hint = "set `XDG_CACHE_HOME` to a folder that you may write to"
        raise UserError(f"cannot write `{path}`: {error.strerror or error}", hint=hint) from error


@contextmanager
def locked(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path`; wait while another process holds it, after one call of `on_wait`, which may raise.

    The lock belongs to the kernel (`flock`), so one whose owner was killed is free at once. The file is removed at the
    end; a process that was waiting for the removed file notices and starts again on the one in its place.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path, on_wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, on_wait: Callable[[str], None]) -> int:
    has_said = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        is_kept = False
        try:
            if _try_lock(descriptor):
                if _is_same_file(descriptor, path):
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, b"%d\n" % os.getpid())
                    is_kept = True
                    return descriptor
                continue
            if not has_said:
                owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                on_wait(f"process {owner or '?'} is working on the same model")
                has_said = True
        finally:
            if not is_kept:
                os.close(descriptor)
        time.sleep(0.1)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
