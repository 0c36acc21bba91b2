"""Stages in order: made where they are missing or out of date, left alone where they are not."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fake_stages import stage
from pocketphi.artifact import Progress, open_artifact
from pocketphi.errors import UserError
from pocketphi.manifest import MANIFEST
from pocketphi.stages import Outcome, Stage, run_stages


def chain(corpus: int = 0, model: int = 0) -> list[Stage]:
    """Two of four stages read what the first made."""
    return [
        stage("primer"),
        stage("corpus", ["primer"], corpus),
        stage("model", ["corpus"], model),
        stage("report", ["primer", "model"]),
    ]


@dataclass
class Watch:
    """A view that remembers."""

    started_stages: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    figures: list[Mapping[str, Any]] = field(default_factory=list)

    def started(self, stage: str) -> None:
        self.started_stages.append(stage)

    def progress(self, done: float, total: float, figures: Mapping[str, Any]) -> None:
        self.figures.append(figures)

    def ended(self, outcome: Outcome) -> None:
        pass

    def notice(self, text: str) -> None:
        self.notices.append(text)


def run(out: Path, stages: Sequence[Stage], **options: Any) -> list[str]:
    """Run them here; the names of those that were made."""
    watch = options.pop("view", Watch())

    def execute(stage: Stage, progress: Progress) -> Mapping[str, Any]:
        made = {name: open_artifact(out / name) for name in stage.parents}
        stage.run(made, out / stage.name, progress)
        return {"peak_memory_bytes": 5}

    out.mkdir(exist_ok=True)
    outcomes = run_stages(stages, out, execute=execute, view=watch, **options)
    made = [outcome.stage for outcome in outcomes if not outcome.was_finished]
    assert watch.started_stages == made
    return made


ALL = ["primer", "corpus", "model", "report"]


def test_everything_is_made_once(tmp_path: Path):
    watch = Watch()
    assert run(tmp_path, chain(), view=watch) == ALL
    assert (tmp_path / "report" / "text").read_text() == "report=0(primer=0(),model=0(corpus=0(primer=0())))"
    assert watch.figures[0] == {"loss": 0.5}
    assert run(tmp_path, chain()) == []


def test_a_changed_setting_makes_again_what_depends_on_it(tmp_path: Path):
    run(tmp_path, chain())
    assert run(tmp_path, chain(model=1)) == ["model", "report"]
    assert run(tmp_path, chain(model=1, corpus=1)) == ["corpus", "model", "report"]
    assert run(tmp_path, chain(model=1, corpus=1)) == []


def test_until_stops_and_the_next_run_goes_on(tmp_path: Path):
    assert run(tmp_path, chain(), until="corpus") == ["primer", "corpus"]
    assert run(tmp_path, chain()) == ["model", "report"]


def test_redoing_from_a_stage_forgets_the_work_of_what_follows(tmp_path: Path):
    run(tmp_path, chain())
    for name in ("primer", "model"):
        (tmp_path / f"{name}.work").mkdir()
    assert run(tmp_path, chain(), redo_from="model", until="model") == ["model"]
    assert not list(tmp_path.glob("*.work")), "what a finished stage left is of no use either"
    assert run(tmp_path, chain(), redo_from="corpus") == ["corpus", "model", "report"]


def test_only_some_stages_run_and_need_what_they_read(tmp_path: Path):
    with pytest.raises(UserError, match="primer` is not finished") as error:
        run(tmp_path, chain(), only=["corpus"])
    assert "--until primer" in (error.value.hint or "")
    run(tmp_path, chain(), until="primer")
    assert run(tmp_path, chain(), only=["corpus"]) == ["corpus"]
    with pytest.raises(UserError, match="corpus` is not finished"):
        run(tmp_path, chain(corpus=1), only=["model"])


def test_names_that_no_stage_has_get_a_hint(tmp_path: Path):
    for option in ("until", "redo_from"):
        with pytest.raises(UserError, match="no stage `modl`") as error:
            run(tmp_path, chain(), **{option: "modl"})
        assert error.value.hint == "did you mean `model`?"
    with pytest.raises(UserError, match="no stage `xyz`") as error:
        run(tmp_path, chain(), until="xyz")
    assert error.value.hint == "it has `primer`, `corpus`, `model`, `report`"
    with pytest.raises(UserError, match="`report` comes after `corpus`"):
        run(tmp_path, chain(), until="corpus", redo_from="report")


def test_a_failure_names_the_stage_and_leaves_the_finished_ones(tmp_path: Path):
    broken = [*chain()[:2], stage("model", ["corpus"], fails=True), chain()[3]]
    with pytest.raises(UserError, match="model: there is nothing left") as error:
        run(tmp_path, broken)
    assert error.value.hint == "add pages"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "primer"]
    assert run(tmp_path, chain()) == ["model", "report"]


@pytest.mark.parametrize("damage", ["manifest", "file", "no manifest"])
def test_a_damaged_result_is_made_again_and_said_so(tmp_path: Path, damage: str):
    run(tmp_path, chain())
    if damage == "manifest":
        (tmp_path / "corpus" / MANIFEST).write_text("{")
    elif damage == "file":
        (tmp_path / "corpus" / "text").write_text("")
    else:
        shutil.rmtree(tmp_path / "corpus")
        (tmp_path / "corpus.partial").mkdir()
    watch = Watch()
    assert run(tmp_path, chain(), view=watch) == ["corpus"]
    assert bool(watch.notices) == (damage != "no manifest")


def test_what_no_stage_made_is_left_alone(tmp_path: Path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="corpus` is in the way"):
        run(tmp_path, chain())
    assert (tmp_path / "corpus" / "mine.txt").read_text() == "mine"


def test_a_result_of_another_recipe_is_refused(tmp_path: Path):
    run(tmp_path, chain())
    with pytest.raises(UserError, match="model` is of another recipe"):
        run(tmp_path, [*chain()[:2], stage("report", ["primer"])])


def test_a_kill_within_the_exchange_of_any_stage_does_not_block_the_run(tmp_path: Path):
    """Every state that the renames of a replacement pass through, of results that are up to date or not."""
    run(tmp_path / "run", chain())
    run(tmp_path / "other", chain(corpus=1))
    states = [("partial",), ("partial", ""), ("partial", "replaced"), ("replaced",), ("replaced", "")]
    for number, state in enumerate(states):
        for newer in ("run", "other"):
            out = tmp_path / f"{newer}{number}"
            shutil.copytree(tmp_path / "run", out)
            shutil.rmtree(out / "corpus")
            for suffix in state:
                # What steps aside is the older of the two.
                holds = newer if suffix == state[0] else "run"
                shutil.copytree(tmp_path / holds / "corpus", out / f"corpus.{suffix}".rstrip("."))
            run(out, chain())
            assert sorted(path.name for path in out.iterdir()) == sorted(ALL)
            assert (out / "report" / "text").read_text() == (tmp_path / "run" / "report" / "text").read_text()
            assert run(out, chain()) == []


def test_what_a_kill_left_of_a_stage_of_another_recipe_is_refused_too(tmp_path: Path):
    run(tmp_path, chain())
    (tmp_path / "model").rename(tmp_path / "model.partial")
    with pytest.raises(UserError, match=r"model.partial` is of another recipe"):
        run(tmp_path, [*chain()[:2], stage("report", ["primer"])])


def test_what_is_in_the_way_is_said_before_anything_runs(tmp_path: Path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "half a copy").write_text("")
    with pytest.raises(UserError, match="report` is in the way"):
        run(tmp_path, chain())
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert run(tmp_path, chain(), until="primer") == ["primer"], "this one does not come to it"


def test_what_changed_under_a_running_stage_is_said(tmp_path: Path):
    values = iter([1, 2])
    other = stage("primer")
    changing = Stage(
        name="primer", label="primer", parents=(), settings=lambda: {"value": next(values)}, seed=1, run=other.run
    )
    with pytest.raises(UserError, match="primer: what it reads changed while it ran"):
        run(tmp_path, [changing])
