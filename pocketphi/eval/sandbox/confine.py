"""Lock this process up, for good: namespaces, mounts, limits, Landlock, seccomp, in this order.

Namespaces come first, because making them is itself forbidden by what follows. A user namespace gives the rights for
the others, and they are dropped again; the mount namespace exists for two things: a scratch folder in memory, of a
fixed size, which is gone with the process, and an empty folder over `site-packages`. What may be read is a matter of
Landlock, what may be called of seccomp (see `seccomp`). There is no process namespace: nothing here can make a
process or see how to signal one.
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Sequence
from typing import NamedTuple

from pocketphi.eval.sandbox.seccomp import install

LANDLOCK_ABI = 3
"""The least, Linux 6.2: before it, a file that may only be read could be cut short."""

_NAMESPACES = {"user": 0x10000000, "mount": 0x00020000, "network": 0x40000000, "IPC": 0x08000000, "UTS": 0x04000000}
_NOSUID, _NODEV, _NOEXEC, _READ_ONLY, _RECURSIVE, _PRIVATE = 2, 4, 8, 1, 16384, 1 << 18
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_FILE, _REFER, _TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _READ_FILE | _READ_DIR
_SCRATCH = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _REFER | _TRUNCATE


class Unbuilt(Exception):
    """This machine lacks something. Says what."""


class Cell(NamedTuple):
    """What a confined process is left with. No dataclass: importing those takes as long as all the rest of this."""

    scratch: str
    """An empty folder: the private one is mounted over it."""
    readable: tuple[str, ...]
    """Files and folders."""
    hidden: tuple[str, ...]
    """Folders inside a readable one that shall look empty."""
    seconds: int
    """Of processor time."""
    memory: int
    """Bytes of address space."""
    file_bytes: int
    """Of each file."""
    scratch_bytes: int
    scratch_files: int


def confine(cell: Cell, keep: Sequence[int]) -> None:
    """Everything that this process does from here on is confined.

    Args:
        cell: what is left to it.
        keep: descriptors that stay open.

    Raises:
        Unbuilt: a part cannot be had. The process is then partly confined and shall end.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    step = "a tie to its caller"
    try:
        _check(libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() == 1:
            os._exit(1)
        _close_all_but(keep)
        for name, flag in _NAMESPACES.items():
            step = f"a {name} namespace"
            # The user namespace alone first: its maps are written before it is used.
            ids = (os.getuid(), os.getgid())
            _check(libc.unshare(flag))
            if name == "user":
                _map_ids(*ids)
        step = "mounts of its own"
        _mounts(libc, cell)
        step = "limits"
        _limits(cell)
        step = "no privileges"
        _drop_rights(libc)
        step = "Landlock"
        _landlock(libc, cell)
        step = "seccomp"
        install(libc, os.uname().machine)
    except OSError as error:
        raise Unbuilt(f"{step}: {(error.strerror or str(error)).lower()}") from None
    except KeyError:
        raise Unbuilt(f"an x86-64 or arm64 processor; this is {os.uname().machine}") from None


def _map_ids(user: int, group: int) -> None:
    """This user and this group are the only ones."""
    for name, text in {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}.items():
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib is slow to start
            file.write(text)


def _mounts(libc: ctypes.CDLL, cell: Cell) -> None:
    plain = _NOSUID | _NODEV | _NOEXEC
    _check(libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
    size = f"size={cell.scratch_bytes},nr_inodes={cell.scratch_files},mode=700".encode()
    _check(libc.mount(b"tmpfs", os.fsencode(cell.scratch), b"tmpfs", plain, size))
    for folder in cell.hidden:
        _check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", plain | _READ_ONLY, b"size=4096,mode=755"))
    os.chdir(cell.scratch)


def _limits(cell: Cell) -> None:
    for name, value in {
        resource.RLIMIT_AS: cell.memory,
        resource.RLIMIT_CPU: cell.seconds,
        resource.RLIMIT_FSIZE: cell.file_bytes,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 1,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }.items():
        highest = resource.getrlimit(name)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        resource.setrlimit(name, (value, value))


def _drop_rights(libc: ctypes.CDLL) -> None:
    """No capability, none to be won, and no other process of this user may look inside."""
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check(libc.capset(header, none))
    _check(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0))


def _landlock(libc: ctypes.CDLL, cell: Cell) -> None:
    abi = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if abi < LANDLOCK_ABI:
        have = f"this kernel has {abi}" if abi > 0 else "this kernel has none"
        raise Unbuilt(f"Landlock ABI {LANDLOCK_ABI} (Linux 6.2) or newer; {have}")
    files = (1 << 16 if abi >= 5 else 1 << 15) - 1
    # Everything that a ruleset can forbid, as far as the kernel knows it: files, TCP, abstract sockets and signals.
    attributes = struct.pack("=QQQ", files, 3, 3)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    rules = _check(libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)))
    granted = dict.fromkeys(cell.readable, _READ)
    granted |= {cell.scratch: _SCRATCH, "/dev/null": _READ_FILE | _WRITE_FILE}
    for path, access in granted.items():
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        access &= -1 if os.path.isdir(path) else _OF_A_FILE  # noqa: PTH112
        rule = struct.pack("=Qi", access, descriptor)
        _check(libc.syscall(_ADD_RULE, ctypes.c_int(rules), ctypes.c_uint(1), rule, ctypes.c_uint(0)))
        os.close(descriptor)
    _check(libc.syscall(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0)))
    os.close(rules)


def _close_all_but(keep: Sequence[int]) -> None:
    first = 0
    for descriptor in sorted(keep):
        if first < descriptor:  # An empty range from 0 would be taken for everything.
            os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 1 << 20)


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
