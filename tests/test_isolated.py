"""A function in a process of its own: what it returns, says and raises comes back, and it dies with its caller."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fake_stages
from pocketphi import isolated
from pocketphi.errors import UserError
from pocketphi.locks import exclusive


def call(tmp_path: Path, function: Callable[..., Any], argument: Any = None, **options: Any) -> Any:
    options = {"on_message": lambda _message: None, **options}
    return isolated.call(function, argument, log=tmp_path / "log", **options)


def test_results_and_messages_come_back_and_prints_go_to_the_log(tmp_path: Path):
    heard: list[Any] = []
    assert call(tmp_path, fake_stages.doubled, 21, on_message=heard.append) == 42
    assert heard == [[0, 3, {}], [1, 3, {}], [2, 3, {}]]
    assert (tmp_path / "log").read_text() == "doubling\n"


def test_an_error_for_people_stays_one(tmp_path: Path):
    with pytest.raises(UserError, match="`that` is wrong") as error:
        call(tmp_path, fake_stages.refusing, {"what": "that"})
    assert error.value.hint == "make it right"


def test_a_bug_brings_its_traceback(tmp_path: Path):
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by zero") as error:
        call(tmp_path, fake_stages.buggy)
    assert "in buggy" in error.value.__notes__[0]
    assert "in buggy" in (tmp_path / "log").read_text()


def test_a_killed_or_vanished_process_is_an_error_and_not_the_end(tmp_path: Path):
    with pytest.raises(UserError, match="killed by SIGKILL") as error:
        call(tmp_path, fake_stages.dying, signal.SIGKILL)
    assert "memory" in (error.value.hint or "")
    with pytest.raises(UserError, match="killed by SIGSEGV"):
        call(tmp_path, fake_stages.dying, signal.SIGSEGV)
    assert "Segmentation fault" in (tmp_path / "log").read_text()
    with pytest.raises(RuntimeError, match="exit code 3"):
        call(tmp_path, fake_stages.leaving, 3)
    with pytest.raises(UserError, match="out of memory"):
        call(tmp_path, fake_stages.gluttonous)
    with pytest.raises(KeyboardInterrupt):
        call(tmp_path, fake_stages.interrupted)


def test_a_fault_of_the_listener_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(isolated, "_SECONDS_TO_END", 0.1)

    def fail(_message: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(tmp_path, fake_stages.sleeping, str(tmp_path / "pid"), on_message=fail)
    assert not is_alive(int((tmp_path / "pid").read_text()))


CALLER = """
import sys
from pathlib import Path
import fake_stages
from pocketphi import isolated
from pocketphi.locks import exclusive
here = Path(sys.argv[1])
with exclusive(here / "lock", "taken") as lock:
    isolated.call(getattr(fake_stages, sys.argv[2]), str(here / "pid"), log=here / "log", on_message=print, keep=[lock])
"""


@pytest.mark.parametrize("what", ["sleeping", "employing"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_and_its_workers_die_with_its_caller(tmp_path: Path, how: signal.Signals, what: str):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", CALLER, str(tmp_path), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"asleep\n"
        child = int((tmp_path / "pid").read_text())
        with pytest.raises(UserError, match="taken"), exclusive(tmp_path / "lock", "taken"):
            pass
        caller.send_signal(how)
        caller.wait()
    with exclusive(tmp_path / "lock", "taken", wait_seconds=10):
        assert not is_alive(child)


def is_alive(process: int) -> bool:
    """Whether it still runs; a moment is given to a zombie, whose new parent has yet to look."""
    for _ in range(50):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        if Path(f"/proc/{process}/stat").exists() and " Z " in Path(f"/proc/{process}/stat").read_text():
            return False
        time.sleep(0.02)
    return True
