"""Stopping the engine in mid-work: a flag it polls, and a way to wait that signals can interrupt.

Python runs a signal handler only when the main thread is back in Python. A prompt of some thousand
tokens keeps the engine busy for seconds, so such a step runs on a second thread while the main one
waits here, where Ctrl-C is seen at once and sets the flag.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar, cast

T = TypeVar("T")

_LOOK_UP_SECONDS = 0.1
_MAX_HELPERS = 4  # one, unless a signal handler steps another engine meanwhile


class CancelFlag:
    """A flag that the engine polls at every layer. Setting it is safe anywhere, in a signal handler too."""

    def __init__(self) -> None:
        self.word = ctypes.c_int32(0)
        """The polled integer itself."""

    def set(self) -> None:
        self.word.value = 1

    def clear(self) -> None:
        self.word.value = 0

    def is_set(self) -> bool:
        return self.word.value != 0


def interruptibly(work: Callable[[], T], cancel: CancelFlag) -> T:
    """What `work` returns or raises. If a signal handler raises meanwhile, `cancel` is set, the end of
    `work` is awaited, and the handler's exception is raised.

    Off the main thread, where signals never arrive, `work` is simply called.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    outcome: list[tuple[T | None, BaseException | None]] = []
    working = threading.Lock()
    working.acquire()

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001  handed to the waiting thread
            outcome.append((None, error))
        finally:
            working.release()

    try:
        _helpers().submit(run)
    except RuntimeError:  # no more threads: better deaf than dead
        return work()
    interruption = None
    was_cancelled = False
    while not outcome:
        try:
            # A bare lock: a condition's own bookkeeping breaks when a handler raises inside it. A signal that another
            # thread received does not wake this one, so it looks up now and then.
            working.acquire(timeout=_LOOK_UP_SECONDS)
        except BaseException as error:  # noqa: BLE001  raised below, once nothing works on the sessions any more
            if interruption is None:
                interruption, was_cancelled = error, cancel.is_set()
            cancel.set()
    if interruption is not None:
        if not was_cancelled:
            cancel.clear()
        raise interruption
    result, failure = outcome[0]
    if failure is not None:
        raise failure
    return cast(T, result)


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that stay. The system puts a new one beside the engine's spinning worker, on one core, too often:
    that cost a prompt of 64 tokens a third of its speed.
    """
    return ThreadPoolExecutor(_MAX_HELPERS, thread_name_prefix="pocketphi-step")


os.register_at_fork(after_in_child=_helpers.cache_clear)  # the threads stayed in the parent
