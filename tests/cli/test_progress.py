"""Progress: plain lines in a log, bars at a terminal, nothing on standard output."""

import io
import os
import re
import subprocess
import sys

import pytest

from pocketphi.cli.progress import byte_progress, step_progress


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def report_two_files() -> None:
    with byte_progress() as progress:
        for done in range(0, 101, 10):
            progress("first", done, 100)
        progress("second", 0, None)
        progress("the [connection] broke; trying again", 30, 100)
        progress("second", 100, 100)


def test_a_log_gets_each_label_once_and_every_quarter(capsys):
    report_two_files()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "first",
        "first: 25 %",
        "first: 50 %",
        "first: 75 %",
        "first: 100 %",
        "second",
        "the [connection] broke; trying again",
        "second: 100 %",
    ]


def test_a_terminal_keeps_one_bar_for_each_file(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", FakeTerminal())
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    report_two_files()
    shown = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", sys.stderr.getvalue())  # type: ignore[attr-defined]
    last = shown.splitlines()[-2:]
    assert [line.split()[0] for line in last] == ["first", "second"]
    assert all("100/100 bytes" in line for line in last)
    assert capsys.readouterr().out == ""


def test_work_goes_on_when_nobody_reads_the_progress_any_more():
    reader, writer = os.pipe()
    os.close(reader)
    code = """
from pocketphi.cli.progress import byte_progress
from pocketphi.cli.report import run
def work():
    with byte_progress() as progress:
        for done in range(0, 101, 10):
            progress("pulling", done, 100)
    print("done")
run(work, shows_traceback=False)
"""
    try:
        result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, timeout=60)
    finally:
        os.close(writer)
    assert (result.returncode, result.stdout) == (0, b"done\n")


@pytest.mark.parametrize("stream", [io.StringIO, FakeTerminal])
def test_steps_leave_nothing_behind(monkeypatch, capsys, stream):
    monkeypatch.setattr("sys.stderr", stream())
    monkeypatch.setenv("TERM", "dumb")
    with step_progress("measuring") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capsys.readouterr().out == ""
