"""Open, map and replace files without trusting them.

A path from a stranger may be a directory, a pipe, a device or a loop of links; opening it must neither
hang nor read from it. Only regular files are accepted, sizes come from `fstat` of the open file, and
headers are read with `pread`, so that a file that shrinks gives an error instead of a bus error. A
file that changes after it was opened is out of scope.
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import mmap
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from pocketphi.errors import UserError, reason_of, shown
from pocketphi.formats.limits import MAX_FILE_BYTES

FETCH_AGAIN = "fetch or copy the file again: its parts do not add up"
_WRITE_BYTES = 1 << 24  # large writes, so that the page cache holds a new file in huge pages
_AT_WORK = "wait until no other program writes to it, and try again"
_OPENING_HINTS = {
    errno.ENOENT: "check the spelling",
    errno.ENOTDIR: "check the path: a part of it is a file, not a folder",
    errno.EACCES: "check who may read it, and the folders that it is in (`ls -l`)",
    errno.EPERM: "check who may read it (`ls -l`)",
    errno.ELOOP: "its links lead in a circle: give the file itself",
    errno.ENAMETOOLONG: "check the path: a part of it is too long for a name",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}
_WRITING_HINTS = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.ENOENT: "create its folder first, or choose another",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """A regular file, open for reading."""

    path: Path
    descriptor: int
    size: int

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`."""
        parts = []
        while count:
            part = os.pread(self.descriptor, min(count, 1 << 24), offset)
            if not part:
                raise UserError(
                    f"`{self.path}` ended at byte {offset} while it was read, its size was {self.size}", hint=_AT_WORK
                )
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return b"".join(parts)

    def map(self) -> npt.NDArray[np.uint8]:
        """The whole file, mapped read-only; it stays mapped while the array or a view of it lives."""
        self.check_unchanged()
        if not self.size:
            return np.empty(0, np.uint8)
        try:
            view = mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)
            _ask_for_huge_pages(view)
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot map `{self.path}` ({self.size} bytes) into memory: {error}",
                hint="close other programs, or raise the limit of address space (`ulimit -v`)",
            ) from error
        return np.frombuffer(view, np.uint8)

    def check_unchanged(self) -> None:
        """Raise if the file no longer has the size it was opened with."""
        size = os.fstat(self.descriptor).st_size
        if size != self.size:
            raise UserError(f"`{self.path}` changed from {self.size} to {size} bytes while it was read", hint=_AT_WORK)


@contextlib.contextmanager
def open_regular(path: Path, max_bytes: int = MAX_FILE_BYTES) -> Iterator[OpenFile]:
    """Open a regular file of at most `max_bytes`.

    Raises:
        UserError: there is no such file, it may not be read, it is not a regular file, or it is too large.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise cannot_open(path, error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            is_folder = stat.S_ISDIR(status.st_mode)
            raise UserError(
                f"`{shown(path, 300)}` is {_kind(status.st_mode)}, not a regular file",
                hint="give a file in it" if is_folder else "save what comes out of it to a file, and give that",
            )
        if status.st_size > max_bytes:
            raise UserError(
                f"`{path}` has {status.st_size} bytes, allowed are {max_bytes}", hint="check that it is the right file"
            )
        yield OpenFile(path=path, descriptor=descriptor, size=status.st_size)
    finally:
        os.close(descriptor)


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file of at most `max_bytes`."""
    with open_regular(path, max_bytes) as file:
        return file.read(0, file.size)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        data = file.map()
        for begin in range(0, len(data), 1 << 24):
            digest.update(data[begin : begin + (1 << 24)].data)
    return digest.hexdigest()


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a scratch file that becomes `path` if the block succeeds: whole or not at all.

    The scratch file lies in the same folder, is flushed to the disk before it is renamed, and is
    removed whatever happens; a former `path` stays as it was unless the block succeeds. What a
    killed process left of an earlier try is removed too: the kernel has freed its lock.
    """
    try:
        if not path.name or path.is_dir():
            raise UserError(f"cannot write `{path}`: it is a directory", hint="give the name of a file in it")
        if path.exists() and not path.is_file():
            kind = _kind(path.stat().st_mode)
            raise UserError(
                f"cannot write `{path}`: it is {kind}, which a file would replace", hint="choose another name"
            )
        _remove_abandoned(path)
        scratch, opened = _open_scratch(path)
        try:
            with opened as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
            _flush_folder(path.parent)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        hint = _WRITING_HINTS.get(error.errno or 0, "choose another folder")
        raise UserError(f"cannot write `{path}`: {reason_of(error)}", hint=hint) from error


def cannot_open(path: Path, error: Exception) -> UserError:
    """`path` could not be opened or looked up because of `error`."""
    number = error.errno if isinstance(error, OSError) else None
    hint = _OPENING_HINTS.get(number or 0, "check the path, and the disk that it is on")
    return UserError(f"cannot open `{shown(path, 300)}`: {reason_of(error)}", hint=hint)


def _ask_for_huge_pages(view: mmap.mmap) -> None:
    """Let the kernel read and map the file by 2 MiB where it can: decoding is some 4 % faster."""
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            view.madvise(mmap.MADV_HUGEPAGE)


def _open_scratch(path: Path) -> tuple[Path, BinaryIO]:
    """A new locked file beside `path`. Before it is locked, another process may take it for abandoned."""
    while True:
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        file = scratch.open("xb", buffering=_WRITE_BYTES)
        fcntl.flock(file, fcntl.LOCK_EX)
        if scratch.exists():
            return scratch, file
        file.close()


def _remove_abandoned(path: Path) -> None:
    """Scratch files for `path` whose lock nobody holds."""
    for scratch in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with contextlib.suppress(OSError), scratch.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            scratch.unlink()


def _flush_folder(folder: Path) -> None:
    """Make a rename durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return name
    return "something else"
