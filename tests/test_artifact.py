"""Directories are complete or absent, whatever happens while they are made, and know where they come from."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi import artifact as module
from pocketphi.artifact import (
    Artifact,
    find_artifact,
    inputs_digest,
    open_artifact,
    publish,
    read_verified,
    scratch_path,
    verify_artifact,
)
from pocketphi.errors import UserError
from pocketphi.manifest import MANIFEST


def make(out: Path, text: str = "one", *, stage: str = "stage", parents: tuple[Artifact, ...] = ()) -> Artifact:
    with publish(out, kind="corpus", stage=stage, settings={"text": text}, seed=1, parents=parents) as draft:
        (draft.path / "folder").mkdir()
        (draft.path / "folder" / "text.txt").write_text(text)
        draft.summary["length"] = len(text)
    return open_artifact(out)


def beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_a_result_is_what_was_written_and_says_what_it_is(tmp_path: Path):
    out = tmp_path / "deep" / "result"
    artifact = make(out)
    assert (out / "folder" / "text.txt").read_text() == "one"
    assert (artifact.kind, artifact.stage, artifact.summary["length"], artifact.size_bytes) == ("corpus", "stage", 3, 3)
    assert artifact.inputs == inputs_digest("stage", {"text": "one"}, 1, ())
    assert beside(out) == ["result"]
    verify_artifact(artifact)


def test_digests_hold_neither_time_nor_place(tmp_path: Path):
    first, second = make(tmp_path / "a"), make(tmp_path / "b" / "c")
    assert (first.content, first.inputs) == (second.content, second.inputs)


def test_content_follows_bytes_and_names_and_inputs_follow_settings_seed_and_parents(tmp_path: Path):
    base = make(tmp_path / "base")
    assert make(tmp_path / "text", "two").content != base.content
    child = make(tmp_path / "child", parents=(base,))
    assert child.content == base.content
    assert len({inputs_digest("s", {}, 1, ()), inputs_digest("s", {}, 2, ()), inputs_digest("t", {}, 1, ())}) == 3
    assert inputs_digest("s", {}, 1, (base,)) != inputs_digest("s", {}, 1, ())


def test_ancestors_are_told_once_however_many_ways_lead_to_them(tmp_path: Path):
    generation = [make(tmp_path / "0", "0")]
    for index in range(1, 30):
        generation.append(make(tmp_path / str(index), str(index), parents=tuple(generation[-2:])))
    last = generation[-1].manifest
    assert set(last["ancestors"]) == {each.inputs for each in generation[:-1]}
    assert last["parents"] == [generation[-3].inputs, generation[-2].inputs]
    assert last["ancestors"][generation[0].inputs]["summary"] == {"length": 1}


def test_a_failure_leaves_nothing_and_the_older_result(tmp_path: Path):
    out = tmp_path / "result"
    make(out, "old")

    def fail() -> None:
        with publish(out, kind="corpus", stage="stage", settings={}) as draft:
            (draft.path / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (out / "folder" / "text.txt").read_text() == "old"
    assert beside(out) == ["result"]


def test_what_no_stage_made_is_not_replaced(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("mine", "file"):
        with pytest.raises(UserError, match="is in the way: no stage made it"):
            make(tmp_path / name)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")


def test_a_result_of_another_stage_is_not_replaced_unless_it_is_damaged(tmp_path: Path):
    out = tmp_path / "out"
    older = make(out, "old")
    with pytest.raises(
        UserError, match="is a finished corpus of `stage`, which the corpus of `other` does not"
    ) as said:
        make(out, "new", stage="other")
    assert "choose another place" in (said.value.hint or "")
    with (
        pytest.raises(UserError, match="which the model of `stage` does not"),
        publish(out, kind="model", stage="stage", settings={}),
    ):
        pytest.fail("it is refused before any work")
    assert open_artifact(out).content == older.content
    assert beside(out) == ["out"]
    (out / MANIFEST).write_text("{")
    assert make(out, "new", stage="other").stage == "other"


def test_a_result_does_not_replace_what_it_is_made_from(tmp_path: Path):
    parent = make(tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path)
    for out in (tmp_path / "out", tmp_path / "link" / "out"):
        with pytest.raises(UserError, match="is what `stage` reads"):
            make(out, "new", parents=(parent,))
    verify_artifact(parent)


def test_what_no_stage_made_is_not_swept_away_by_an_exchange_that_a_kill_cut_short(tmp_path: Path):
    make(tmp_path / "out.partial")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="is in the way"):
        find_artifact(tmp_path / "out")
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"


def test_a_file_that_is_read_verified_is_what_its_stage_wrote(tmp_path: Path):
    artifact = make(tmp_path / "out")
    assert read_verified(artifact, "folder/text.txt") == b"one"
    (artifact.path / "folder" / "text.txt").write_text("eno")
    (artifact.path / "stranger").write_text("")
    for name in ("folder/text.txt", "stranger"):
        with pytest.raises(UserError, match=f"{name}` was changed after it was made"):
            read_verified(artifact, name)
    with pytest.raises(UserError, match="cannot read"):
        read_verified(artifact, "missing")


def test_an_error_of_the_stages_own_reading_is_not_one_of_writing(tmp_path: Path):
    with pytest.raises(FileNotFoundError), publish(tmp_path / "out", kind="corpus", stage="s", settings={}):
        (tmp_path / "missing").read_text()
    with (
        pytest.raises(UserError, match=r"cannot write `.*out`"),
        publish(tmp_path / "out", kind="corpus", stage="s", settings={}) as draft,
    ):
        (draft.path / "no" / "such" / "folder").write_text("")
    assert beside(tmp_path / "out") == []


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write `.*file/out`"):
        make(tmp_path / "file" / "out")


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("limit", [0, 100, 300])
def test_a_full_disk_leaves_nothing_half_and_the_older_result(tmp_path: Path, limit: int):
    """At 0 the first file fails, at 100 a larger one, at 300 the manifest."""
    out = tmp_path / "out"
    old = make(out, "old")
    with files_of_at_most(limit), pytest.raises(UserError, match="the disk is full") as error:
        make(out, "x" * (limit + 1) if limit == 100 else "new")
    assert "free some space" in (error.value.hint or "")
    assert beside(out) == ["out"]
    assert open_artifact(out).content == old.content


def test_what_a_library_makes_of_a_full_disk_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(UserError, match="the disk is full"), publish(tmp_path / "o", kind="k", stage="s", settings={}):
        raise RuntimeError("PytorchStreamWriter failed writing file")


def test_two_writers_of_one_result_exclude_each_other(tmp_path: Path):
    out = tmp_path / "out"
    with publish(out, kind="corpus", stage="s", settings={}) as draft:
        with pytest.raises(UserError, match="is being made by another process"):
            make(out, "second")
        (draft.path / "first").write_text("first")
    assert (out / "first").is_file()
    assert beside(out) == ["out"]


def test_writers_that_come_at_once_leave_one_whole_result(tmp_path: Path):
    out = tmp_path / "out"
    refused: list[UserError] = []

    def write(text: str) -> None:
        for _ in range(20):
            try:
                make(out, text)
            except UserError as error:
                refused.append(error)

    threads = [threading.Thread(target=write, args=(str(index) * 1000,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verify_artifact(open_artifact(out))
    assert beside(out) == ["out"]
    assert all("another process" in error.message for error in refused)


KILLED_AT = """
import os, sys
from pathlib import Path
from pocketphi import artifact
out, moment = Path(sys.argv[1]), int(sys.argv[2])
steps = 0
def dying(function):
    def call(*arguments, **options):
        global steps
        steps += 1
        if steps == moment:
            os.kill(os.getpid(), 9)
        return function(*arguments, **options)
    return call
for holder, name in ((os, "fsync"), (Path, "rename"), (Path, "mkdir"), (Path, "unlink"), (artifact.shutil, "rmtree")):
    setattr(holder, name, dying(getattr(holder, name)))
with artifact.publish(out, kind="corpus", stage="stage", settings={"text": "new"}, seed=1) as draft:
    (draft.path / "folder").mkdir()
    (draft.path / "folder" / "text.txt").write_text("new")
    draft.summary["length"] = 3
"""


@pytest.mark.parametrize("had_older", [False, True])
def test_a_kill_at_any_step_loses_neither_result(tmp_path: Path, had_older: bool):
    finished = False
    moment = 0
    seen = set()
    while not finished:
        moment += 1
        out = tmp_path / str(moment) / "out"
        if had_older:
            make(out, "old")
        command = [sys.executable, "-c", KILLED_AT, str(out), str(moment)]
        finished = subprocess.run(command).returncode == 0
        found = find_artifact(out)
        assert found is not None or not had_older
        if out.parent.exists():
            assert set(beside(out)) <= {"out", "out.partial"}, "only what the next writer clears is left"
        if found is not None:
            verify_artifact(found)
            seen.add((out / "folder" / "text.txt").read_text())
        make(out, "next")
        assert beside(out) == ["out"]
    assert moment > 5
    assert seen == ({"old", "new"} if had_older else {"new"})


def test_a_missing_or_shortened_file_is_found_at_opening_and_a_changed_one_by_verifying(tmp_path: Path):
    artifact = make(tmp_path / "out")
    text = artifact.path / "folder" / "text.txt"
    text.write_text("two")
    open_artifact(artifact.path)
    with pytest.raises(UserError, match=r"text.txt` was changed"):
        verify_artifact(artifact)
    text.write_text("o")
    with pytest.raises(UserError, match="has 1 bytes, its manifest says 3"):
        open_artifact(artifact.path)
    text.unlink()
    with pytest.raises(UserError, match="has no bytes"):
        open_artifact(artifact.path)


def test_a_directory_without_a_manifest_is_no_result(tmp_path: Path):
    assert find_artifact(tmp_path / "out") is None
    with pytest.raises(UserError, match="holds no finished result"):
        open_artifact(tmp_path)
    with pytest.raises(UserError, match="is a corpus, expected a model"):
        open_artifact(make(tmp_path / "out").path, "model")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("manifest_version", 2),
        ("kind", None),
        ("content", "0" * 64),
        ("files", {"../../secret": {"bytes": 1, "sha256": ""}}),
        ("files", {"/etc/passwd": {"bytes": 1, "sha256": ""}}),
        ("files", {"x": {"bytes": "3", "sha256": ""}}),
        ("files", []),
        ("parents", ["0" * 64]),
        ("parents", [[]]),
        ("ancestors", {"a": {}}),
        ("ancestors", []),
        ("summary", []),
        ("measured", 1),
    ],
)
def test_a_damaged_manifest_is_an_error_that_says_what_to_do(tmp_path: Path, key: str, value: Any):
    artifact = make(tmp_path / "out")
    (artifact.path / MANIFEST).write_text(json.dumps({**artifact.manifest, key: value}))
    with pytest.raises(UserError) as error:
        open_artifact(artifact.path)
    assert "delete the directory and run its stage" in (error.value.hint or "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A finished directory, and its manifest as it should be."""
    folder = tmp_path_factory.mktemp("fuzzed")
    artifact = make(folder / "out", parents=(make(folder / "parent"),))
    return artifact.path, (artifact.path / MANIFEST).read_bytes()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_manifest_makes_reading_fail_in_another_way(fuzzed: tuple[Path, bytes], data: st.DataObject):
    folder, good = fuzzed
    manifest = json.loads(good)
    how = data.draw(st.sampled_from(["replace", "bytes", "cut", "drop"]))
    if how == "replace":
        manifest[data.draw(st.sampled_from(sorted(manifest)))] = data.draw(JSON)
        written = json.dumps(manifest).encode("utf-8", "surrogatepass")
    elif how == "drop":
        del manifest[data.draw(st.sampled_from(sorted(manifest)))]
        written = json.dumps(manifest).encode()
    elif how == "cut":
        written = good[: data.draw(st.integers(0, len(good)))]
    else:
        position = data.draw(st.integers(0, len(good) - 1))
        written = good[:position] + data.draw(st.binary(max_size=4)) + good[position + 1 :]
    (folder / MANIFEST).write_bytes(written)
    try:
        open_artifact(folder)
    except UserError as error:
        message = error.message
        assert message.isprintable()


def test_a_deep_or_huge_manifest_is_damage(tmp_path: Path):
    artifact = make(tmp_path / "out")
    for text in ("[" * 100_000, '{"manifest_version": ' + "9" * 10_000 + "}", ""):
        (artifact.path / MANIFEST).write_text(text)
        with pytest.raises(UserError):
            open_artifact(artifact.path)


def test_scratch_that_a_kill_left_is_cleared(tmp_path: Path):
    out = tmp_path / "out"
    scratch_path(out).mkdir()
    (scratch_path(out) / "half").write_text("half")
    assert find_artifact(out) is None
    assert not (make(out).path / "half").exists()
    assert beside(out) == ["out"]
