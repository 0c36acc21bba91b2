"""What the engine allocated, and when it is freed: apart from the objects that people hold.

A Python object may be dropped in any order and by any thread. The states here are shared by the
objects and by their finalizers, so each handle is freed once, children first.
"""

import os
import threading
from collections import deque
from dataclasses import dataclass, field

from pocketphi.errors import UserError
from pocketphi.runtime import abi


@dataclass
class ModelState:
    """What must be freed, apart from the objects that people hold."""

    pointer: int
    kept: list[object]
    engines: list["EngineState"] = field(default_factory=list)

    def free(self) -> None:
        for engine in tuple(self.engines):
            engine.free()
        if self.pointer:
            abi.library().pp_model_free(self.pointer)
            self.pointer = 0
            self.kept.clear()


@dataclass
class EngineState:
    """An engine, its living sessions, and those dropped by the garbage collector.

    The collector may run in any thread, even while the engine works, so it only notes the session
    in `dropped`; the next call that holds the lock frees it.
    """

    pointer: int
    model: ModelState
    sessions: set[int] = field(default_factory=set)
    dropped: deque[int] = field(default_factory=deque)
    process: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_open(self) -> bool:
        """Whether there is an engine, and it is this process's."""
        return self.pointer != 0 and os.getpid() == self.process

    def exclusive(self) -> threading.Lock:
        """The lock to hold while inside the engine; then ask `checked` for the pointer.

        A context manager of our own would leave the lock held if a signal handler raised inside it; this one is C.
        """
        if os.getpid() != self.process:  # a thread that is gone may hold the lock for ever
            raise UserError(
                "the engine was made before this process forked: its threads are in the parent",
                hint="load the model in the process that uses it",
            )
        return self.lock

    def checked(self) -> int:
        """The engine's pointer, for who holds the lock."""
        if not self.pointer:
            raise ValueError("the engine is closed")
        while self.dropped:
            self.free_session(self.dropped.popleft())
        return self.pointer

    def free_session(self, pointer: int) -> None:
        if pointer in self.sessions:
            self.sessions.discard(pointer)
            abi.library().pp_session_free(pointer)

    def free(self) -> None:
        if not self.is_open:
            return
        with self.lock:
            if self.pointer:
                for session in tuple(self.sessions):
                    self.free_session(session)
                abi.library().pp_engine_free(self.pointer)
                self.pointer = 0
                self.model.engines.remove(self)
