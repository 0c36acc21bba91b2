"""Locks of dead processes are free, live ones are respected, and errors of the disk say what to do."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pocketphi import locks
from pocketphi.errors import UserError
from pocketphi.hub import disk
from pocketphi.hub.disk import human_size, locked, writing

HOLD = """
import sys, time
from pathlib import Path
from pocketphi.hub.disk import locked
with locked(Path(sys.argv[1]), on_wait=lambda text: print("waiting", flush=True)):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_waits_and_is_told_for_whom(tmp_path: Path):
    path = tmp_path / "sub" / "x.lock"
    first = hold(path)
    assert said(first) == "held"
    second = hold(path)
    assert said(second) == "waiting"
    heard: list[str] = []
    threading.Timer(0.3, lambda: (first.communicate(), second.communicate())).start()
    with locked(path, on_wait=heard.append):
        pass
    assert len(heard) == 1
    assert str(first.pid) in heard[0]
    assert (first.wait(5), second.wait(5)) == (0, 0)
    assert not path.exists()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path):
    path = tmp_path / "x.lock"
    process = hold(path)
    assert said(process) == "held"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    start = time.monotonic()
    with locked(path, on_wait=lambda _: pytest.fail("waited for a dead process")):
        assert path.read_text() == f"{os.getpid()}\n"
    assert time.monotonic() - start < 1
    assert not path.exists()


def test_only_one_holds_the_lock_however_many_try(tmp_path: Path):
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(15):
            with locked(tmp_path / "x.lock", on_wait=lambda _: None):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0002)
                inside -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (1, 60)


def test_a_lock_file_that_was_removed_meanwhile_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x.lock"
    really = locks._try_lock

    def lose_the_file_once(descriptor: int) -> bool:
        monkeypatch.setattr(locks, "_try_lock", really)
        path.unlink()  # as its owner does, between our opening and our locking
        return really(descriptor)

    monkeypatch.setattr(locks, "_try_lock", lose_the_file_once)
    with locked(path, on_wait=lambda _: pytest.fail("nobody holds it")):
        assert path.read_text() == f"{os.getpid()}\n"


def test_an_error_inside_frees_the_lock(tmp_path: Path):
    path = tmp_path / "x.lock"
    with pytest.raises(KeyboardInterrupt), locked(path, on_wait=lambda _: None):
        raise KeyboardInterrupt
    assert not path.exists()


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (errno.ENOSPC, "the disk is full", "free some space"),
        (errno.EDQUOT, "the disk is full", "free some space"),
        (errno.EACCES, "cannot write `/x`: Permission denied", "XDG_CACHE_HOME"),
        (errno.EROFS, "cannot write `/x`: Read-only file system", "XDG_CACHE_HOME"),
    ],
)
def test_an_error_of_the_disk_says_what_to_do(code: int, message: str, hint: str):
    with pytest.raises(UserError, match=message) as error, writing(Path("/x")):
        raise OSError(code, os.strerror(code))
    assert hint in (error.value.hint or "")


def test_space_is_counted_with_a_margin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100 << 20}))
    disk.check_free_space(tmp_path, 0, "x")
    disk.check_free_space(tmp_path, 36 << 20, "x")
    with pytest.raises(UserError, match=r"x needs 104\.9 MB on the disk of .*, which has 104\.9 MB"):
        disk.check_free_space(tmp_path, (36 << 20) + 1, "x")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (98_362_432, "98.4 MB"),
        (999_999, "1.0 MB"),
        (2**41, "2.2 TB"),
    ],
)
def test_sizes_for_people(size: int, text: str):
    assert human_size(size) == text
