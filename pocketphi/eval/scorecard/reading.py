"""What a run says, as far as it can be drawn: its results and its items, checked.

Files are as hostile as what they were made from: a score that is no number, an item of another form or a task whose
name would lead out of the folder is left out, and a line on the page says so.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError, shown
from pocketphi.eval.results import ITEMS, RESULTS, Item, Results, Score, TaskResult, read_items, read_results
from pocketphi.eval.scorecard.published import PUBLISHED


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of `pocketphi eval`."""

    folder: Path
    label: str
    """What pictures call it: the model's name."""
    results: Results
    """Tasks in the report's order, then the others by name; scores are finite."""
    items: Mapping[str, Sequence[Item]]
    """By task; what has no items on disk is left out."""
    notes: Sequence[str]
    """What was left out."""

    @property
    def tasks(self) -> Mapping[str, TaskResult]:
        """By name."""
        return self.results.tasks

    @property
    def scored(self) -> Mapping[str, tuple[TaskResult, Score]]:
        """Those that have their headline score."""
        return {
            name: (task, task.scores[task.metric]) for name, task in self.tasks.items() if task.metric in task.scores
        }


def read_run(folder: Path) -> Run:
    """Raises `UserError` if there are no results, or they are damaged beyond use."""
    found = read_results(folder)
    if not all(isinstance(table, dict) for table in (found.model, found.code, found.settings)):
        raise UserError(f"`{folder / RESULTS}` is damaged", hint="evaluate the model again")
    notes: list[str] = []
    tasks: dict[str, TaskResult] = {}
    for name in sorted(found.tasks, key=_place):
        task = _sound_task(found.tasks[name])
        if task is None or "/" in name or "\\" in name or name.startswith("."):
            notes.append(f"the task `{shown(name)}` is damaged")
        else:
            tasks[name] = task
    items: dict[str, Sequence[Item]] = {}
    for name in tasks:
        try:
            path = folder / ITEMS / f"{name}.jsonl"
            every = list(read_items(folder, name)) if path.is_file() and path.stat().st_size else []
        except UserError as error:
            notes.append(error.message)
            continue
        sound = [item for item in every if _is_sound(item)]
        if len(sound) < len(every):
            notes.append(f"{len(every) - len(sound):,} damaged items of `{name}`")
        if sound:
            items[name] = sound
    tasks = _told_apart(tasks)
    called = str(found.model.get("name", "")).strip()
    label = called or folder.resolve().name
    return Run(folder=folder, label=label, results=replace(found, tasks=tasks), items=items, notes=notes)


def told_apart(runs: Sequence[Run], folders: Sequence[Path]) -> list[Run]:
    """The runs, with the folder in the label of those whose models share a name."""
    labels = [run.label for run in runs]
    return [
        replace(run, label=f"{run.label} ({folder.name})") if labels.count(run.label) > 1 else run
        for run, folder in zip(runs, folders, strict=True)
    ]


def is_share(task: TaskResult) -> bool:
    """Whether the headline is a part of one, to be shown in percent; perplexity and its like are none."""
    score = task.scores.get(task.metric)
    cost = any(word in task.metric for word in ("perplexity", "bits", "nats", "loss"))
    return score is not None and 0 <= score.value <= 1 and not cost


def verdict(item: Item, metric: str) -> bool | None:
    """Right, wrong, or None where the metric does not apply. Half of what can be had counts as right."""
    value = item.scores.get(metric)
    return None if value is None else value >= 0.5


def title_of(name: str, task: TaskResult) -> str:
    """What a reader calls the task."""
    return task.title.strip() or name


def _told_apart(tasks: Mapping[str, TaskResult]) -> dict[str, TaskResult]:
    """With the name in the title where one benchmark is asked in several ways; the report's way keeps its title."""
    count = Counter(title_of(name, task) for name, task in tasks.items())
    return {
        name: task
        if name in PUBLISHED or count[title_of(name, task)] == 1
        else replace(task, title=f"{title_of(name, task)} ({name})")
        for name, task in tasks.items()
    }


def _place(name: str) -> tuple[int, list[tuple[int, str]]]:
    """The report's order, then by name: `passkey_2k` before `passkey_16k`."""
    order = list(PUBLISHED)
    parts = [
        (int(part), "") if part.isascii() and part.isdecimal() else (-1, part)
        for part in re.split(r"([0-9]{1,9})", name)
    ]
    return (order.index(name) if name in order else len(order), parts)


def _sound_task(task: TaskResult) -> TaskResult | None:
    texts = (task.name, task.title, task.metric, task.form, task.prompts_digest, task.note)
    if not all(isinstance(text, str) for text in texts) or not _is_count(task.shots) or not _is_count(task.version):
        return None
    tables = (task.files, task.formats, task.contamination)
    if not all(isinstance(table, dict) for table in tables) or not (task.chance is None or is_number(task.chance)):
        return None
    subsets = {name: scores for name, of in task.subsets.items() if (scores := _sound_scores(of))}
    formats = {name: value for name, value in task.formats.items() if is_number(value)}
    return replace(task, scores=_sound_scores(task.scores), subsets=subsets, formats=formats)


def _sound_scores(scores: Mapping[str, Score]) -> dict[str, Score]:
    def is_sound(score: Score) -> bool:
        figures = (score.value, score.standard_error, score.low, score.high)
        return all(map(is_number, figures)) and score.standard_error >= 0 and _is_count(score.count)

    return {name: score for name, score in scores.items() if is_sound(score)}


def _is_sound(item: Item) -> bool:
    texts = (item.id, item.subset, item.cluster, item.question, item.expected, item.answer, item.written, *item.choices)
    figures = (*item.probabilities, *(item.scores.values() if isinstance(item.scores, dict) else (math.nan,)))
    return all(isinstance(text, str) for text in texts) and all(map(is_number, figures))


def is_number(value: Any) -> bool:
    """Finite, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number_of(value: Any) -> float | None:
    """The value, if it is one."""
    return float(value) if is_number(value) else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
