import asyncio
import os
from pathlib import Path

import pytest
from prompt_toolkit.history import History, InMemoryHistory

from pocketphi.serve.history import MAX_ENTRY_CHARACTERS, MAX_FILE_BYTES, open_history


def entries(history: History) -> list[str]:
    async def load() -> list[str]:
        return [entry async for entry in history.load()]

    return asyncio.run(load())[::-1]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "state" / "pocketphi" / "history"


def test_what_was_typed_is_there_in_the_next_session(path):
    first = open_history(path, pytest.fail)
    first.append_string("hello")
    first.append_string("two\nlines with + and # and 한국어")
    assert entries(open_history(path, pytest.fail)) == ["hello", "two\nlines with + and # and 한국어"]
    assert path.stat().st_mode & 0o777 == 0o600


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


def make_link_to_elsewhere(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"\n# time\n+ok\n\xff\xfe\x00"), "is damaged"),
        (lambda path: path.write_bytes(b"# time\n+nul \x00\n"), "is damaged"),
        (lambda path: path.write_bytes(b"no history at all\n"), "is damaged"),
        (make_huge, "is larger than 4 MiB"),
        (make_link_to_elsewhere, "is not a regular file"),
        (lambda path: path.mkdir(), "is not a regular file"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: (path.touch(), path.chmod(0o666)), "can be written by others"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_moved_aside_with_a_warning(path, damage, reason):
    path.parent.mkdir(parents=True)
    path.with_name("history.bad-1").touch()  # from an earlier time, kept
    damage(path)
    warnings: list[str] = []
    history = open_history(path, warnings.append)
    assert warnings == [f"the history file {reason}: moved to `{path}.bad-2`"]
    assert os.path.lexists(f"{path}.bad-2")
    history.append_string("fresh")
    assert entries(open_history(path, pytest.fail)) == ["fresh"]


def test_without_a_writable_folder_history_lives_in_memory(tmp_path):
    (tmp_path / "file").touch()
    warnings: list[str] = []
    assert isinstance(open_history(tmp_path / "file" / "history", warnings.append), InMemoryHistory)
    assert "no history: cannot write" in warnings[0]


def test_a_pasted_document_and_broken_characters_do_not_spoil_the_file(path):
    history = open_history(path, pytest.fail)
    history.append_string("x" * (MAX_ENTRY_CHARACTERS + 1))
    history.append_string("half a pair \udce9")
    assert entries(open_history(path, pytest.fail)) == ["half a pair ?"]
