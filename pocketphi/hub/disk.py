"""Writing to disk with care: room checked beforehand, errors that say what to do, one process at a time."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketphi.errors import UserError
from pocketphi.locks import acquire, release

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
    """Hold the lock file `path` (`pocketphi.locks`); wait while another process holds it, after one call of `on_wait`,
    which may raise."""
    has_said = False

    def wait(owner: str) -> None:
        nonlocal has_said
        if not has_said:
            has_said = True
            on_wait(f"process {owner} is working on the same model")

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = acquire(path, wait)
    try:
        yield
    finally:
        release(path, descriptor)
