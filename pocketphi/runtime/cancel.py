"""Stopping the engine in mid-work: a flag it polls, and a way to wait that signals can interrupt.

Python runs a signal handler only when the main thread is back in Python. A prompt of some thousand
tokens keeps the engine busy for seconds, so such a step runs on a second thread while the main one
waits here, where Ctrl-C is seen at once and sets the flag.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

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
    future = _helpers().submit(work)
    try:
        # A signal that another thread received does not wake this one, so it looks up now and then.
        while not wait((future,), _LOOK_UP_SECONDS).done:
            pass
    except BaseException:
        cancel.set()
        wait((future,))
        cancel.clear()
        raise
    return future.result()


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that stay. The system puts a new one beside the engine's spinning worker, on one core, too often:
    that cost a prompt of 64 tokens a third of its speed.
    """
    return ThreadPoolExecutor(_MAX_HELPERS, thread_name_prefix="pocketphi-step")


os.register_at_fork(after_in_child=_helpers.cache_clear)  # the threads stayed in the parent
