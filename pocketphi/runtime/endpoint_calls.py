"""Several exchanges at once, that end together: at the first failure, or Ctrl-C, nobody waits for the others."""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Abandoned(Exception):
    """The caller no longer wants the answer."""


class Calls:
    """Exchanges that can be abandoned together, from another thread."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    def abandon(self) -> None:
        """End them: each raises `Abandoned` at once."""
        self.over.set()
        with self._lock:
            for connection in self._sockets:
                cut(connection)

    def add(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connection)
        if self.over.is_set():
            cut(connection)

    def remove(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(connection)


def each(work: Callable[[Item, Calls], Result], items: Sequence[Item], concurrency: int) -> list[Result]:
    """`work` on every item, some at once. At the first failure, or Ctrl-C, the others are abandoned."""
    calls = Calls()

    def one(item: Item) -> Result:
        try:
            return work(item, calls)
        except BaseException:
            calls.over.set()  # before this thread takes the next item
            raise

    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(one, item) for item in items]
        pending = set(futures)
        try:
            while pending:
                # Not for ever: a signal that comes just before a thread falls asleep does not wake it.
                done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
                for future in filter(done.__contains__, futures):
                    error = future.exception()
                    if error is not None and not isinstance(error, Abandoned):
                        raise error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            calls.abandon()
            raise
    return [future.result() for future in futures]


def cut(connection: socket.socket) -> None:
    """End what goes on there, whoever reads or writes."""
    # Of the plain socket: the method of an encrypted one takes its state away under the thread that reads.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
