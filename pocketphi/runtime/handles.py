"""What the engine allocated, and when it is freed: apart from the objects that people hold.

A Python object may be dropped in any order and by any thread. The states here are shared by the
objects and by their finalizers, so each handle is freed once, children first.
"""

import threading
from collections import deque
from dataclasses import dataclass, field

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
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> int:
        """The engine's pointer; until the end of the block no other thread is inside the engine."""
        self.lock.acquire()
        try:
            if not self.pointer:
                raise ValueError("the engine is closed")
            while self.dropped:
                self.free_session(self.dropped.popleft())
        except BaseException:
            self.lock.release()
            raise
        return self.pointer

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def free_session(self, pointer: int) -> None:
        if pointer in self.sessions:
            self.sessions.discard(pointer)
            abi.library().pp_session_free(pointer)

    def free(self) -> None:
        with self.lock:
            if self.pointer:
                for session in tuple(self.sessions):
                    self.free_session(session)
                abi.library().pp_engine_free(self.pointer)
                self.pointer = 0
                self.model.engines.remove(self)
