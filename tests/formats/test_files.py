"""Writing a file: whole or not at all, and never over something that is no file."""

import os
import stat
import threading
from pathlib import Path

import pytest

from pocketphi.errors import UserError
from pocketphi.formats import files
from pocketphi.formats.files import replace_file


def test_only_a_file_is_replaced(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="which a file would replace"), replace_file(pipe) as file:
        file.write(b"x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_path_without_a_name_is_a_folder(name: str):
    with pytest.raises(UserError, match="it is a directory"), replace_file(Path(name)):
        pass


def test_two_writers_of_one_file_both_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target, opened, lock = tmp_path / "out", threading.Event(), files.fcntl.flock

    def lock_late(file: object, how: int) -> None:
        """The first writer sees its scratch file swept away before it can lock it."""
        if how == files.fcntl.LOCK_EX and not opened.is_set():
            opened.set()
            files._remove_abandoned(target)
        lock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", lock_late)
    with replace_file(target) as file:
        file.write(b"whole")
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]
