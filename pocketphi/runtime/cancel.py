"""Stopping the engine in mid-work: a flag it polls, and a way to wait that signals can interrupt.

Python runs a signal handler only when the main thread is back in Python. A prompt of some thousand
tokens keeps the engine busy for seconds, so such a step runs on a second thread while the main one
waits here, where Ctrl-C is seen at once and sets the flag.
"""

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_LOOK_UP_SECONDS = 0.1


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
    future: Future[T] = Future()
    done = threading.Event()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  handed to the waiting thread
            future.set_exception(error)
        finally:
            done.set()

    threading.Thread(target=run, name="pocketphi-step", daemon=True).start()
    try:
        # A signal that another thread received does not wake this one, so it looks up now and then.
        while not done.wait(_LOOK_UP_SECONDS):
            pass
    except BaseException:
        cancel.set()
        done.wait()
        cancel.clear()
        raise
    return future.result()
