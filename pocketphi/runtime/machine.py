"""What this process may use of the machine: physical cores and memory.

A container or a batch system often grants less than the machine has. Affinity, cgroup quotas and
cgroup limits are therefore read first; hyper-threads count once, because the engine's inner loops
fill a core on their own and a second thread on it only adds waiting.
"""

import math
import os
from pathlib import Path

from pocketphi.errors import UserError, is_whole, shown

MAX_THREADS = 256

_CGROUP = Path("/sys/fs/cgroup")
_CPUS = Path("/sys/devices/system/cpu")


def available_cores() -> int:
    """Physical cores that this process may run on, at least 1."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cpus = os.sched_getaffinity(0)
    cores = len({_read(_CPUS / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in cpus})
    quota = _cpu_quota()
    return max(1, cores if quota is None else min(cores, math.floor(quota + 0.5)))


def chosen_threads(threads: int | None) -> int:
    """`threads`, checked; None for the physical cores."""
    if threads is None:
        return available_cores()
    if not is_whole(threads) or not 1 <= threads <= MAX_THREADS:
        raise UserError(f"`threads` is `{shown(threads)}`", hint=f"give 1 to {MAX_THREADS}, or leave it out")
    return threads


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping or being killed; None if unknown.

    A read-only mapped file counts as available: the kernel can drop its pages.
    """
    limits = [x for x in (_system_available(), _cgroup_available(), _address_space_available()) if x is not None]
    return min(limits) if limits else None


def resident_memory() -> int | None:
    """The most bytes this process ever held in memory, mapped file pages included; None if unknown."""
    peak = _field(_read(Path("/proc/self/status")), "VmHWM:")
    if peak is not None:
        return peak
    try:
        import resource
        import sys
    except ImportError:
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _field(text: str, name: str) -> int | None:
    """The value in bytes of a `Name:   123 kB` line."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return None


def _cgroup_folders() -> list[Path]:
    """This process' cgroup (version 2) and all above it, each of which may set a limit."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            folder = _CGROUP / line[3:].lstrip("/")
            return [place for place in (folder, *folder.parents) if place.is_relative_to(_CGROUP)]
    return [_CGROUP]


def _cpu_quota() -> float | None:
    """CPUs that the tightest cgroup grants; None without a limit."""
    quotas = []
    for folder in _cgroup_folders():
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            quotas.append(int(words[0]) / int(words[1]))
    microseconds, period = _read(_CGROUP / "cpu/cpu.cfs_quota_us"), _read(_CGROUP / "cpu/cpu.cfs_period_us")
    if microseconds and period and int(microseconds) > 0:
        quotas.append(int(microseconds) / int(period))
    return min(quotas) if quotas else None


def _system_available() -> int | None:
    return _field(_read(Path("/proc/meminfo")), "MemAvailable:")


def _address_space_available() -> int | None:
    """Bytes left below `ulimit -v`; None without one."""
    try:
        import resource
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _field(_read(Path("/proc/self/status")), "VmSize:")
    return None if limit == resource.RLIM_INFINITY or used is None else max(0, limit - used)


def _cgroup_available() -> int | None:
    """Bytes left below the tightest cgroup limit; file pages that can be dropped count as free."""
    rooms = []
    for folder in _cgroup_folders():
        limit, used = _read(folder / "memory.max"), _read(folder / "memory.current")
        if limit.isdigit() and used.isdigit():
            rooms.append(int(limit) - int(used) + _reclaimable(_read(folder / "memory.stat")))
    old = _CGROUP / "memory"
    limit, used = _read(old / "memory.limit_in_bytes"), _read(old / "memory.usage_in_bytes")
    if limit.isdigit() and used.isdigit() and int(limit) < 1 << 60:
        rooms.append(int(limit) - int(used) + _reclaimable(_read(old / "memory.stat")))
    return max(0, min(rooms)) if rooms else None


def _reclaimable(stat: str) -> int:
    """Bytes of file pages in a `memory.stat`."""
    counts = {words[0]: int(words[1]) for words in map(str.split, stat.splitlines()) if len(words) == 2}
    return counts.get("active_file", 0) + counts.get("inactive_file", 0)
