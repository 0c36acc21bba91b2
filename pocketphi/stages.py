"""Stages in order, in a run directory: skipped where they are finished, made where they are not.

A `Stage` says what it reads and under which settings, and so knows the `inputs` digest of its result before there
is one. A finished directory that carries this digest is left alone, any other is made again. So a run that was
killed goes on where it stopped; a stage that trains keeps its own state in `NAME.work/` beside its directory.
"""

import difflib
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pocketphi.artifact import (
    Artifact,
    Progress,
    find_artifact,
    inputs_digest,
    is_artifact,
    open_artifact,
    place_of,
    refuse_foreign,
)
from pocketphi.errors import UserError, shown

_WORK_SUFFIX = ".work"

Made = Mapping[str, Artifact]
"""Stage -> what it made."""
Execute = Callable[["Stage", Progress], Mapping[str, Any]]
"""Makes one stage; returns figures of the process (`peak_memory_bytes`)."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a run."""

    name: str
    """Its directory in the run."""
    label: str
    """`stage` in its manifest."""
    parents: tuple[str, ...]
    """The stages that it reads, in the order of its manifest."""
    settings: Callable[[], Mapping[str, Any]]
    """Asked for when the stage is due: it may have to read folders."""
    seed: int | None
    run: Callable[[Made, Path, Progress], object]

    def inputs(self, made: Made) -> str:
        """The digest that its result carries."""
        return inputs_digest(self.label, self.settings(), self.seed, [made[name] for name in self.parents])


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a stage."""

    stage: str
    artifact: Artifact
    seconds: float
    was_finished: bool
    """Nothing was to do."""
    peak_memory_bytes: int | None = None
    """Of the stage's process, without workers that it starts."""


class View(Protocol):
    """Who watches a run."""

    def started(self, stage: str) -> None: ...

    def progress(self, done: float, total: float, figures: Mapping[str, float | str]) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...

    def notice(self, text: str) -> None: ...


def run_stages(
    stages: Sequence[Stage],
    out: Path,
    *,
    execute: Execute,
    view: View,
    until: str | None = None,
    redo_from: str | None = None,
    only: Collection[str] | None = None,
) -> list[Outcome]:
    """Make the stages of a run in the directory `out`, which this run has to itself; what is finished there stays.

    Args:
        until: the last stage to make.
        redo_from: the first stage to make even if it is finished.
        only: the stages to make; all that they read must be finished.

    Returns:
        One outcome for each stage that was looked at, in order.

    Raises:
        UserError: a stage failed, no stage has such a name, something that `only` needs is not finished, or `out`
            holds what no stage of this run makes.
    """
    names = [stage.name for stage in stages]
    last = len(names) if until is None else _position(until, names) + 1
    redone = [] if redo_from is None else names[_position(redo_from, names) : last]
    if redo_from is not None and not redone:
        raise UserError(f"`{redo_from}` comes after `{until}`")
    for name in only or ():
        _position(name, names)
    needed = _with_ancestors(names if only is None else only, stages)
    _refuse_strangers(out, names)
    for name in names[:last]:
        if name in needed:
            refuse_foreign(out / name)
    made: dict[str, Artifact] = {}
    outcomes = []
    for stage in stages[:last]:
        if stage.name not in needed:
            continue
        inputs = stage.inputs(made)
        artifact = None if stage.name in redone else _finished(out / stage.name, inputs, view)
        if artifact is not None:
            outcome = Outcome(stage=stage.name, artifact=artifact, seconds=0.0, was_finished=True)
            _forget_work(out, stage)
        elif only is None or stage.name in only:
            if stage.name in redone:
                _forget_work(out, stage)
            outcome = _make(stage, inputs, out, view, execute)
        else:
            raise UserError(
                f"`{out / stage.name}` is not finished",
                hint=f"`pocketphi make RECIPE --until {stage.name}` makes it",
            )
        made[stage.name] = outcome.artifact
        outcomes.append(outcome)
        view.ended(outcome)
    return outcomes


def outdated(artifact: Artifact, standing: Iterable[Artifact]) -> list[str]:
    """What `artifact` was made from, parents of parents too, that was made again since, with another content.

    Args:
        standing: what is in the run's directory now. An ancestor that has no successor there is not counted.

    Returns:
        Names of directories in the run, `evaluation` for all of those.
    """
    now = list(standing)
    inputs, contents = {each.inputs for each in now}, {(each.stage, each.content) for each in now}
    names = {each.stage: "evaluation" if each.kind == "evaluation" else each.path.name for each in now}
    older = [
        names[story["stage"]]
        for key, story in artifact.manifest["ancestors"].items()
        if story["stage"] in names and key not in inputs and (story["stage"], story["content"]) not in contents
    ]
    return list(dict.fromkeys(older))


def _finished(path: Path, inputs: str, view: View) -> Artifact | None:
    """What is there, if it still answers the question."""
    try:
        artifact = find_artifact(path)
    except UserError as error:
        view.notice(f"{error.message}: it is made again")
        return None
    return artifact if artifact is not None and artifact.inputs == inputs else None


def _make(stage: Stage, inputs: str, out: Path, view: View, execute: Execute) -> Outcome:
    view.started(stage.name)
    started = time.monotonic()
    try:
        figures = execute(stage, view.progress)
    except UserError as error:
        raise UserError(f"{stage.name}: {error.message}", hint=error.hint) from error
    artifact = open_artifact(out / stage.name)
    if artifact.inputs != inputs:
        raise UserError(
            f"{stage.name}: what it reads changed while it ran", hint="leave the sources alone, and run it again"
        )
    return Outcome(
        stage=stage.name,
        artifact=artifact,
        seconds=time.monotonic() - started,
        was_finished=False,
        peak_memory_bytes=figures.get("peak_memory_bytes"),
    )


def _forget_work(out: Path, stage: Stage) -> None:
    """Remove the state of a stage that is to start anew, or that was killed when all but this was done."""
    shutil.rmtree(out / f"{stage.name}{_WORK_SUFFIX}", ignore_errors=True)


def _position(name: str, names: Sequence[str]) -> int:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        known = ", ".join(f"`{each}`" for each in names)
        raise UserError(
            f"the recipe has no stage `{shown(name)}`",
            hint=f"did you mean `{near[0]}`?" if near else f"it has {known}",
        )
    return names.index(name)


def _with_ancestors(names: Collection[str], stages: Sequence[Stage]) -> set[str]:
    needed = set(names)
    for stage in reversed(stages):
        if stage.name in needed:
            needed.update(stage.parents)
    return needed


def _refuse_strangers(out: Path, names: Sequence[str]) -> None:
    """A finished stage of another recipe would end up in this one's report.

    What a kill left beside a stage of this one, in the midst of an exchange, belongs to that stage.
    """
    for path in sorted(out.iterdir()):
        if is_artifact(path) and place_of(path).name not in names:
            raise UserError(
                f"`{path}` is of another recipe: this one has no such stage",
                hint="choose another --out, or delete that directory",
            )
