"""What `pocketphi eval` found, on disk: `results.json`, and every item in `items/TASK.jsonl`.

Both are a function of the model, the tasks, the data and the settings: the same run gives the same bytes. What
differs from run to run, dates and seconds, stands in the artifact's manifest (`measured`) alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError, reason_of, shown

RESULTS = "results.json"
ITEMS = "items"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question, what the model said, and the verdict."""

    id: str
    subset: str
    cluster: str
    """Items that share it are not independent of each other; the id where nothing is shared."""
    prompt_digest: str
    """SHA-256 of all that the model was given."""
    question: str
    """Its own part of the prompt, behind the worked examples."""
    choices: tuple[str, ...]
    expected: str
    answer: str
    """As far as it was understood; empty if it was not."""
    written: str
    """All that the model wrote; empty where continuations were compared."""
    logprobs: tuple[float, ...]
    """Of the choices, where they were compared."""
    probabilities: tuple[float, ...]
    """The same as probabilities that sum to 1."""
    scores: Mapping[str, float]
    """By metric; one that does not apply is left out."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mean over items."""

    value: float
    standard_error: float
    """Of the mean, over clusters."""
    low: float
    high: float
    """Interval of 95 %."""
    count: int


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One benchmark."""

    name: str
    title: str
    version: int
    metric: str
    """Headline: a key of `scores`."""
    shots: int
    form: str
    """Name of the prompt's format; `chat` is added where the chat template was used."""
    chance: float | None
    prompt: str = ""
    """All that the model was given for the first item, without a chat template's signs."""
    prompts_digest: str
    """SHA-256 over the prompts of all items, in order."""
    files: Mapping[str, str]
    """Data file -> SHA-256."""
    scores: Mapping[str, Score]
    subsets: Mapping[str, Mapping[str, Score]]
    """Subset -> metric -> score, where there are several."""
    formats: Mapping[str, float] = field(default_factory=dict)
    """Format -> headline, where several were tried."""
    contamination: Mapping[str, Any] = field(default_factory=dict)
    """Rule -> what `contamination` found, where a corpus was given."""
    note: str = ""
    """Why it has no score, or what a reader has to know."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """A whole run."""

    model: Mapping[str, Any]
    """`name`, `digest` (SHA-256 of the weights' file), `backend`, `context`, `chat`."""
    code: Mapping[str, str]
    """Versions: `pocketphi`, `lm_eval`."""
    settings: Mapping[str, Any]
    """`limit`, `seed`, `shots`, ... as given."""
    tasks: Mapping[str, TaskResult]


def write_results(folder: Path, results: Results) -> None:
    """Write `results.json`."""
    text = json.dumps({"schema": SCHEMA, **asdict(results)}, indent=1, ensure_ascii=False)
    (folder / RESULTS).write_text(text + "\n", encoding="utf-8")


def read_results(folder: Path) -> Results:
    """Raises `UserError` if there are none, or they are damaged."""
    path = folder / RESULTS
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value.pop("schema") != SCHEMA:
            raise ValueError("written by another version of pocketphi")
        tasks = {name: _task(task) for name, task in value.pop("tasks").items()}
        return Results(tasks=tasks, **value)
    except OSError as error:
        raise UserError(
            f"cannot read `{path}`: {reason_of(error)}", hint="name a folder of `pocketphi eval`"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"`{path}` is damaged: {shown(error)}", hint="evaluate the model again") from None


def write_items(folder: Path, task: str, items: Iterable[Item]) -> None:
    """Write `items/TASK.jsonl`, one object a line."""
    (folder / ITEMS).mkdir(exist_ok=True)
    with (folder / ITEMS / f"{task}.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for item in items:
            file.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")


def read_items(folder: Path, task: str) -> Iterator[Item]:
    """Raises `UserError` at a damaged line."""
    path = folder / ITEMS / f"{task}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}", hint="evaluate the model again") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row.update({key: tuple(row[key]) for key in ("choices", "logprobs", "probabilities")})
            yield Item(**row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: {shown(error)}", hint="evaluate the model again") from None


def _task(value: Any) -> TaskResult:
    scores = {name: Score(**score) for name, score in value.pop("scores").items()}
    subsets = {
        name: {metric: Score(**score) for metric, score in found.items()}
        for name, found in value.pop("subsets").items()
    }
    return TaskResult(scores=scores, subsets=subsets, **value)
