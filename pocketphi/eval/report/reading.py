"""What a run directory says: its finished artifacts, as a few named facts for the page.

Only manifests and small files beside them are read, each of them as hostile as what it was made from: a
number that is none, a line that is no object or a file that is missing leaves a note in `Run.notes`, and the
picture that wanted it is left out. A stage that the run does not have (yet) is no error.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pocketphi.artifact import Artifact, is_artifact, open_artifact
from pocketphi.data.records import Document
from pocketphi.errors import UserError
from pocketphi.eval.questions import Sample
from pocketphi.stages import outdated

STAGES: Mapping[str, str] = {
    "primer": "primer",
    "corpus": "corpus",
    "tokenizer": "tokenizer",
    "shards": "shards",
    "phase1": "pretraining, phase 1",
    "phase2": "pretraining, phase 2",
    "sft": "chat tuning (SFT)",
    "dpo": "preferences (DPO)",
    "model": "quantized model",
}
"""Directory -> what a reader calls it, in the order of a run."""
TRAINING = ("phase1", "phase2", "sft", "dpo")
TIERS: Mapping[str, str] = {  # what a question is told in; its name or its combination of numbers is new in both
    "known_templates": "known sentences",
    "new_templates": "new sentences",
}
EVALUATION = "evaluation-"
MAX_LINES = 200_000
"""Lines of a file that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Accuracy over some questions."""

    accuracy: float
    standard_error: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one checkpoint, file or baseline scored."""

    name: str
    """The directory it measures (`phase1`, ..., `model`), or what a baseline is called."""
    form: str
    """`chat` or `document`: how it was asked."""
    whole: Score | None
    tiers: Mapping[str, Score]
    topics: Mapping[str, Mapping[str, Score]]
    """Tier -> topic -> score."""
    figures: Mapping[str, float]
    """`ended_fraction`, `perplexity`, `bits_per_byte`, ..."""
    lessons: Mapping[str, float]
    """What held-out text cost: `bits_per_byte` and its `standard_error`, `num_documents`, ..."""
    measured: Mapping[str, float]
    """Seconds and rates."""
    samples: Sequence[Sample]

    @property
    def is_baseline(self) -> bool:
        """Whether it measures no stage of the run."""
        return self.name not in STAGES


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything there is to show."""

    name: str
    recipe: Mapping[str, Any]
    """As resolved; empty if the run does not say."""
    stages: Mapping[str, Artifact]
    """In the order of `STAGES`, those that are finished."""
    measured: Mapping[str, Artifact]
    """The finished evaluations, by directory, in the same order."""
    evaluations: Mapping[str, Evaluation]
    """By what they measure: those that could be read."""
    metrics: Mapping[str, Sequence[Mapping[str, float]]]
    """Training stage -> the rows of its `metrics.jsonl`."""
    dropped: Sequence[Document]
    """Samples of dropped pages, with `step` and `reason` in their metadata."""
    notes: Sequence[str]
    """What could not be read."""
    outdated: Mapping[str, Sequence[str]]
    """Directory -> the stages that were made again since it was made."""

    @property
    def parents(self) -> list[Artifact]:
        """Everything finished, in the order of a run: each stage, then what was measured on it; then baselines."""
        evaluations = dict(self.measured)
        ordered = []
        for name, artifact in self.stages.items():
            ordered.append(artifact)
            if (evaluation := evaluations.pop(EVALUATION + name, None)) is not None:
                ordered.append(evaluation)
        return [*ordered, *evaluations.values()]


def numbers(values: object) -> dict[str, float]:
    """The finite numbers of a JSON object."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(key): float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(path: Path, notes: list[str], most: int | None = MAX_LINES) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; what is damaged is noted and passed over."""
    try:
        with path.open("rb") as file:
            for line in islice(file, most):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if isinstance(row, dict):
                    yield row
                else:
                    notes.append(f"{path.parent.name}/{path.name} has a damaged line")
    except OSError as error:
        notes.append(f"{path.parent.name}/{path.name} cannot be read: {error.strerror or error}")


def read_run(run: Path) -> Run:
    """Everything finished below `run`.

    Raises:
        UserError: there is no such directory, or nothing in it is finished.
    """
    if not run.is_dir():
        raise UserError(f"`{run}` is no directory", hint="give the directory of a run")
    notes: list[str] = []
    found: dict[str, Artifact] = {}
    for path in sorted(run.iterdir()):
        if is_artifact(path):
            try:
                found[path.name] = open_artifact(path)
            except UserError as error:
                notes.append(f"{path.name} is left out: {error.message.replace(str(run), run.name)}")
    order = [*STAGES, *(EVALUATION + name for name in STAGES)]
    others = [name for name in found if name not in order and name.startswith(EVALUATION)]
    stages = {name: found[name] for name in STAGES if name in found}
    if not stages:
        raise UserError(f"`{run}` holds no finished stage", hint="make it with `pocketphi make RECIPE`")
    measured = [name for name in [*order, *others] if name in found and name.startswith(EVALUATION)]
    evaluations = {name.removeprefix(EVALUATION): read_evaluation(found[name], notes) for name in measured}
    metrics = {}
    for name in TRAINING:
        if name in stages and (stages[name].path / "metrics.jsonl").is_file():
            lines = [numbers(row) for row in rows(stages[name].path / "metrics.jsonl", notes)]
            metrics[name] = [row for row in lines if "step" in row]
    dropped: list[Document] = []
    if "corpus" in stages:
        dropped = [_document(row) for row in rows(stages["corpus"].path / "dropped_samples.jsonl", notes)]
    recipe = _recipe(run / "recipe.json", notes)
    return Run(
        name=str(recipe.get("name") or run.resolve().name),
        recipe=recipe,
        stages=stages,
        measured={name: found[name] for name in measured},
        evaluations={name: value for name, value in evaluations.items() if value is not None},
        metrics=metrics,
        dropped=dropped,
        notes=list(dict.fromkeys(notes)),
        outdated={name: older for name in [*stages, *measured] if (older := outdated(found[name], found.values()))},
    )


def read_evaluation(artifact: Artifact, notes: list[str]) -> Evaluation | None:
    """What an evaluation found; None, and a note, if its results cannot be read."""
    name = artifact.path.name.removeprefix(EVALUATION)
    try:
        results = mapping(json.loads((artifact.path / "results.json").read_bytes()))
    except (OSError, ValueError, RecursionError):
        notes.append(f"{artifact.path.name}/results.json cannot be read")
        return None
    topics = mapping(results.get("topics"))
    return Evaluation(
        name=name,
        form=str(results.get("form", "")),
        whole=_scores({"all": results.get("all")}).get("all"),
        tiers=_scores(mapping(results.get("tiers"))),
        topics={tier: _scores(mapping(value)) for tier, value in topics.items()},
        figures=numbers(results.get("figures")),
        lessons=numbers(results.get("lessons")),
        measured=numbers(artifact.manifest.get("measured")),
        samples=_samples(artifact.path / "samples.jsonl", notes),
    )


def _document(row: Mapping[str, Any]) -> Document:
    texts = {name: str(row.get(name, "")) for name in ("id", "text", "source", "license")}
    return Document(**texts, metadata=mapping(row.get("metadata")))


def _recipe(path: Path, notes: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        return mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        notes.append(f"{path.name} cannot be read")
        return {}


def _scores(values: Mapping[str, Any]) -> dict[str, Score]:
    scores = {}
    for name, value in values.items():
        score = numbers(value)
        if "accuracy" in score:
            accuracy, count = min(max(score["accuracy"], 0.0), 1.0), int(score.get("count", 0))
            error = score.get("standard_error", math.sqrt(accuracy * (1 - accuracy) / count) if count > 0 else 0.0)
            scores[name] = Score(accuracy=accuracy, standard_error=error, count=count)
    return scores


def _samples(path: Path, notes: list[str]) -> list[Sample]:
    return [
        Sample(
            **{name: str(row.get(name, "")) for name in ("id", "topic", "tier", "question", "expected", "written")},
            answer=None if row.get("answer") is None else str(row["answer"]),
            is_correct=row.get("is_correct") is True,
            stop_reason=str(row.get("stop_reason", "")),
            num_tokens=int(numbers(row).get("num_tokens", 0)),
        )
        for row in rows(path, notes)
    ]
