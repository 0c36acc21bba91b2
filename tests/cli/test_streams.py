"""Pipes, closed streams, full disks, terminals without Unicode."""

import json
import os
import time
from pathlib import Path

import pytest

from pocketphi.hub.store import StoredModel

ROOT = Path(__file__).parents[2]


def test_a_piped_prompt_is_answered(shell, stored):
    result = shell(f"printf 'hello\\n' | pocketphi chat {stored} --max-tokens 4 --json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["tokens"] == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the prompt on standard input is empty"),
        (b" \n\t\n", "the prompt on standard input is empty"),
        (b"caf\xe9", "is not UTF-8: byte `0xe9` at 3"),
        (b"\xed\xa0\x80", "is not UTF-8: byte `0xed` at 0"),
    ],
)
def test_a_piped_prompt_that_is_no_text_is_an_error(shell, data, message):
    result = shell("pocketphi chat", input=data)
    assert result.returncode == 1
    assert message.encode() in result.stderr


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\0 \x1b[2J \x7f", "\u202eabc\u200b".encode(), ("e" + "\u0301" * 10_000).encode(), b"a" * (1 << 20)],
)
def test_odd_prompts_are_answered_or_counted(shell, stored, data):
    result = shell(f"pocketphi chat {stored} --max-tokens 2", input=data)
    assert b"Traceback" not in result.stderr
    if result.returncode:
        assert result.returncode == 1
        assert b"the context holds `512`" in result.stderr


def test_a_prompt_of_100_mib_is_refused_at_once(shell):
    start = time.monotonic()
    result = shell("head -c 104857600 /dev/zero | tr '\\0' a | pocketphi chat")
    assert result.returncode == 1
    assert b"has more than 16 MiB" in result.stderr
    assert time.monotonic() - start < 10


def test_a_reader_that_leaves_is_no_error(shell, stored):
    result = shell(f"set -o pipefail; pocketphi chat {stored} --prompt hi --max-tokens 400 | head -c 1")
    assert result.returncode == 0, result.stderr
    assert b"Traceback" not in result.stderr
    assert b"BrokenPipe" not in result.stderr
    assert shell("set -o pipefail; pocketphi --help | true").returncode == 0


def test_closed_streams_are_no_error(shell, stored):
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 <&- ").returncode == 0
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 >&- ").returncode == 0
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 2>&- ").returncode == 0
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 <&- >&- 2>&- ").returncode == 0
    assert shell("pocketphi chat <&-").returncode == 1


def test_a_full_disk_is_an_error_without_a_traceback(shell, stored):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    result = shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 >/dev/full")
    assert result.returncode == 1
    assert b"error: no space left on device" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_terminal_without_unicode_still_shows_everything(shell, stored):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    result = shell(f"pocketphi chat {stored} --prompt hi --max-tokens 60 --temperature 2", env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()


def test_escapes_in_a_problem_are_shown_not_obeyed(pocketphi, monkeypatch):
    odd = StoredModel(name="odd", path=Path("odd.pocket"), size_bytes=1, problem="bad \x1b[2J\x07\x9b key\nforged line")
    monkeypatch.setattr("pocketphi.hub.list_models", lambda: [odd])
    code, out, _ = pocketphi("list")
    assert code == 0
    assert "bad \\x1b[2J\\x07\\x9b key" in out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert len(out.splitlines()) == 1


def test_escapes_in_names_are_shown_not_obeyed(pocketphi, tiny_file, tmp_path):
    odd = tmp_path / "a\x1b]0;title\x07\x9b.pocket"
    odd.write_bytes(tiny_file.path.read_bytes())
    for _, out, err in (
        pocketphi("import", odd, "-o", tmp_path / "out.pocket"),
        pocketphi("show", odd),
        pocketphi("chat", odd, "--prompt", "hi", "--max-tokens", 2),
    ):
        assert "\\x1b]0;title\\x07\\x9b" in out + err
        assert not {"\x1b", "\x07", "\x9b"} & set(out + err)
