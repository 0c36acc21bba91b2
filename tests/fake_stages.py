"""Stages that make tiny results at once, and functions that a process of its own runs: for tests of what runs them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pocketphi.artifact import Artifact, Progress, publish
from pocketphi.errors import UserError
from pocketphi.isolated import Send
from pocketphi.stages import Made, Stage


def stage(name: str, parents: Sequence[str] = (), value: int = 0, fails: bool = False) -> Stage:
    """A stage whose result is its value and those of its parents."""

    def run(made: Made, out: Path, progress: Progress) -> None:
        read: list[Artifact] = [made[parent] for parent in parents]
        with publish(out, kind="corpus", stage=name, settings={"value": value}, seed=1, parents=read) as draft:
            if fails:
                raise UserError("there is nothing left", hint="add pages")
            progress(1, 1, {"loss": 0.5})
            texts = [(parent.path / "text").read_text() for parent in read]
            (draft.path / "text").write_text(f"{name}={value}({','.join(texts)})")

    return Stage(name=name, label=name, parents=tuple(parents), settings=lambda: {"value": value}, seed=1, run=run)


def doubled(argument: int, send: Send) -> int:
    for step in range(3):
        send([step, 3, {}])
    print("doubling")
    return 2 * argument


def refusing(argument: Mapping[str, Any], send: Send) -> None:
    raise UserError(f"`{argument['what']}` is wrong", hint="make it right")


def buggy(argument: object, send: Send) -> None:
    raise ZeroDivisionError("by zero")


def leaving(argument: int, send: Send) -> None:
    os._exit(argument)


def dying(argument: int, send: Send) -> None:
    send("alive")
    os.kill(os.getpid(), argument)


def gluttonous(argument: object, send: Send) -> None:
    raise MemoryError


def sleeping(argument: str, send: Send) -> None:
    Path(argument).write_text(str(os.getpid()))
    send("asleep")
    time.sleep(600)


def employing(argument: str, send: Send) -> None:
    """Start a worker that would outlive everybody, and wait."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(argument).write_text(str(worker.pid))
    send("asleep")
    time.sleep(600)


def interrupted(argument: object, send: Send) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
