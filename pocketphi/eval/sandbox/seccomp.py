"""Which system calls a confined process may make: an allow list, as a BPF program.

It has what Python needs to compute, to import its standard library and to write files in its scratch folder. It has no
call that makes a process or a thread, a socket, a signal to others, a mount, a namespace, a link, a mode or an owner of
a file (Landlock does not look at those), executable files, or anything of the kernel's that is rarely used. Two calls
are allowed by their arguments: `fcntl` without the commands that make the kernel send signals (`F_SETOWN`), `prlimit64`
on the caller itself alone.

A call that is not listed fails with EPERM, so that Python raises. A call in another ABI (32 bits, x32) kills: its
numbers mean something else.
"""

import ctypes
import errno
import struct

_CALLS: dict[str, tuple[int | None, int | None]] = {
    # name: x86-64, arm64
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    "lseek": (8, 62),
    "open": (2, None),
    "openat": (257, 56),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "getdents64": (217, 61),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "fadvise64": (221, 223),
    "umask": (95, 166),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "alarm": (37, None),
    "getitimer": (36, 102),
    "setitimer": (38, 103),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "pause": (34, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getpgrp": (111, None),
    "getgroups": (115, 158),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "sched_getaffinity": (204, 123),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine -> column of `_CALLS`, AUDIT_ARCH."""
_FCNTL, _IOCTL, _PRLIMIT64 = (72, 25), (16, 29), (302, 261)
_X32 = 0x40000000

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _FIRST, _SECOND = 0, 4, 16, 24
"""Offsets into `seccomp_data`; of an argument the lower half, which is all that an int has."""
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000

Instruction = tuple[int, int, int, int]
"""Operation, what to skip if it holds, what if it does not, value."""


def program(machine: str) -> list[Instruction]:
    """The filter for a machine as `os.uname` names it.

    Raises:
        KeyError: there is none for this machine.
    """
    column, arch = _MACHINES[machine]
    numbers = [call[column] for call in _CALLS.values()]
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    allow = (_RETURN, 0, 0, _ALLOW)
    found: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_IF_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in numbers:
        if number is not None:
            found += [(_JUMP_IF_EQUAL, 0, 1, number), allow]
    # Not EPERM: Python takes it for a descriptor that is no terminal.
    found += [(_JUMP_IF_EQUAL, 0, 1, _IOCTL[column]), (_RETURN, 0, 0, _ERROR | errno.ENOTTY)]
    found += _if_argument(_FCNTL[column], _SECOND, _FCNTL_COMMANDS)
    found += _if_argument(_PRLIMIT64[column], _FIRST, (0,))
    return [*found, refuse]


def install(libc: ctypes.CDLL, machine: str) -> None:
    """Confine this thread, the only one, for good. Needs `no_new_privs`.

    Raises:
        OSError: the kernel has no seccomp.
    """
    instructions = program(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in instructions))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(instructions), ctypes.addressof(code)))
    set_seccomp, mode_filter = 22, 2
    if libc.prctl(set_seccomp, mode_filter, ctypes.addressof(head), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _if_argument(number: int, offset: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow a call if one of its arguments has one of these values."""
    checks: list[Instruction] = []
    for value in values:
        checks += [(_JUMP_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    body: list[Instruction] = [(_LOAD, 0, 0, offset), *checks, (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    return [(_JUMP_IF_EQUAL, 0, len(body), number), *body]
