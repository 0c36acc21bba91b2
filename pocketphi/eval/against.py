"""Two finished runs, task by task, on the items that both were asked.

A task is compared where both asked the same thing: its version, metric and data, and the prompt of every item that
both have. A difference there is a different test, not a better model, so such a task is refused with what differs,
unless somebody asks to compare anyway. That one run asked more items is no difference: the shared ones are compared.

With many tasks some differ by chance, so p values are adjusted over all tasks that are compared (Holm 1979).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError
from pocketphi.eval.results import Item, Results, TaskResult, read_items, read_results
from pocketphi.eval.statistics import Paired, holm, paired

_LESS_IS_BETTER = ("perplexity", "bits_per_byte", "loss")
_SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One task of both runs."""

    metric: str
    paired: Paired
    adjusted_p: float
    """Over all tasks that were compared."""
    count: int
    """Items of both."""
    notes: tuple[str, ...]
    """What differs, where it was compared anyway; how many items only one run has."""

    @property
    def verdict(self) -> str:
        """`better` or `worse`, of the first; `unclear` unless the interval excludes 0 and the adjusted test agrees."""
        found = self.paired.verdict
        if found == "unclear" or self.adjusted_p >= _SIGNIFICANT:
            return "unclear"
        return "better" if (found == "higher") != _is_cost(self.metric) else "worse"


@dataclass(frozen=True, kw_only=True)
class Against:
    """A run against another; differences are the first minus the second."""

    first: str
    second: str
    """What the two models are called."""
    tasks: Mapping[str, Compared]
    refused: Mapping[str, tuple[str, ...]]
    """Task -> what differs."""
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare_runs(first: Path, second: Path, *, anyway: bool = False) -> Against:
    """Compare what `pocketphi eval` left in two folders.

    Args:
        anyway: compare tasks too whose prompts, data or versions differ; a note says what does.

    Raises:
        UserError: a folder holds no results, or they are damaged.
    """
    one, other = read_results(first), read_results(second)
    found: dict[str, Compared] = {}
    refused: dict[str, tuple[str, ...]] = {}
    for name in one.tasks.keys() & other.tasks.keys():
        tasks = one.tasks[name], other.tasks[name]
        if silent := _without_score(tasks, (one, other)):
            refused[name] = silent
            continue
        items = [{item.id: item for item in read_items(folder, name)} for folder in (first, second)]
        seeds = one.settings.get("seed"), other.settings.get("seed")
        differences = differences_of(*tasks, *items, seeds=seeds)
        if differences and not anyway:
            refused[name] = differences
            continue
        try:
            found[name] = _compared((tasks[0].metric, tasks[1].metric), (items[0], items[1]), differences)
        except UserError as error:
            refused[name] = (error.message,)
    adjusted = holm({name: each.paired.p_value for name, each in found.items()})
    return Against(
        first=_name(one),
        second=_name(other),
        tasks={name: replace(found[name], adjusted_p=adjusted[name]) for name in one.tasks if name in found},
        refused={name: refused[name] for name in one.tasks if name in refused},
        only_first=tuple(name for name in one.tasks if name not in other.tasks),
        only_second=tuple(name for name in other.tasks if name not in one.tasks),
    )


def differences_of(
    first: TaskResult,
    second: TaskResult,
    items: Mapping[str, Item],
    others: Mapping[str, Item],
    *,
    seeds: tuple[Any, Any] = (None, None),
) -> tuple[str, ...]:
    """Why two results of one task are not those of the same test; empty if they are.

    Args:
        items: of the first, by id.
        others: of the second.
        seeds: drew the worked examples; named where prompts differ.
    """
    found = [
        f"{what} {one} and {other}"
        for what, one, other in (
            ("version", first.version, second.version),
            ("metric", f"`{first.metric}`", f"`{second.metric}`"),
        )
        if one != other
    ]
    names = sorted(
        name for name in first.files.keys() | second.files.keys() if first.files.get(name) != second.files.get(name)
    )
    if names:
        found.append(f"other data in {', '.join(f'`{name}`' for name in names)}")
    if first.prompts_digest != second.prompts_digest:
        shared = items.keys() & others.keys()
        changed = sum(items[name].prompt_digest != others[name].prompt_digest for name in shared)
        if changed:
            told = f"other prompts for {changed:,} of {len(shared):,} items"
            parts = [
                f"{what} {one} and {other}"
                for what, one, other in (
                    ("shots", first.shots, second.shots),
                    ("form", f"`{first.form}`", f"`{second.form}`"),
                    ("seed", *seeds),
                )
                if one != other
            ]
            found.append(told + (f" ({', '.join(parts)})" if parts else ""))
    return tuple(found)


def table_of(against: Against) -> list[str]:
    """Lines for a terminal."""
    head = ("task", "metric", "difference", "±", "95 %", "higher", "lower", "equal", "p", "p, adjusted", "")
    rows = [head, *(_row(name, each) for name, each in against.tasks.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row in rows if against.tasks else []:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:-1], widths[2:-1], strict=True)]
        lines.append("  ".join([*left, *right, row[-1]]).rstrip())
    lines += [f"{name}: {note}" for name, each in against.tasks.items() for note in each.notes]
    lines += [f"{name}: not compared: {'; '.join(why)}" for name, why in against.refused.items()]
    for who, names in (("the first", against.only_first), ("the second", against.only_second)):
        lines += [f"only {who} run has {', '.join(names)}"] if names else []
    return lines or ["the two have no task in common"]


def as_json(against: Against) -> dict[str, Any]:
    """The same for programs; what is not finite is null."""
    tasks = {
        name: {**asdict(each), "paired": _finite(asdict(each.paired)), "verdict": each.verdict}
        for name, each in against.tasks.items()
    }
    return {**asdict(against), "tasks": tasks}


def write_against(folder: Path, others: Sequence[Path]) -> list[Path]:
    """Write `against-NAME.json` for each run that one is compared with, by the name of its folder.

    A run that cannot be read leaves its reason (`error`) in place of figures: the run that is written shall not fail
    for it.
    """
    written: list[Path] = []
    for other in others:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", other.resolve().name)
        path = folder / f"against-{name}.json"
        number = 1
        while path in written:
            number += 1
            path = folder / f"against-{name}-{number}.json"
        try:
            found = as_json(compare_runs(folder, other))
        except UserError as error:
            found = {"error": error.message}
        text = json.dumps({"schema": 1, **found}, indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8", newline="\n")
        written.append(path)
    return written


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _compared(
    metrics: tuple[str, str], items: tuple[Mapping[str, Item], Mapping[str, Item]], notes: tuple[str, ...]
) -> Compared:
    first, second = (
        {name: item for name, item in found.items() if metric in item.scores}
        for found, metric in zip(items, metrics, strict=True)
    )
    shared = [name for name in first if name in second]
    if not shared:
        raise UserError("the two have no item in common")
    left_out = len(first.keys() ^ second.keys())
    if left_out:
        notes = (*notes, f"compared on {len(shared):,} items; {left_out:,} have a score in one run only")
    return Compared(
        metric=metrics[0],
        paired=paired(
            [first[name].scores[metrics[0]] for name in shared],
            [second[name].scores[metrics[1]] for name in shared],
            [first[name].cluster for name in shared],
        ),
        adjusted_p=1.0,
        count=len(shared),
        notes=notes,
    )


def _without_score(tasks: tuple[TaskResult, TaskResult], runs: tuple[Results, Results]) -> tuple[str, ...]:
    return tuple(
        f"`{_name(run)}` has no score: {task.note or 'nothing was asked'}"
        for task, run in zip(tasks, runs, strict=True)
        if not task.scores
    )


def _name(results: Results) -> str:
    return str(results.model.get("name", "unnamed"))


def _row(name: str, each: Compared) -> tuple[str, ...]:
    found = each.paired
    # A share is told in points; what is no share, as it is.
    is_share = max(map(abs, (found.difference, found.low, found.high))) <= 1 and not _is_cost(each.metric)
    scale, digits = (100, 1) if is_share else (1, 2)
    low, high = (f"{scale * edge:+.{digits}f}" for edge in (found.low, found.high))
    return (
        name,
        each.metric,
        f"{scale * found.difference:+.{digits}f}",
        f"{scale * found.standard_error:.{digits}f}",
        f"{low} to {high}",
        f"{found.wins:,}",
        f"{found.losses:,}",
        f"{found.ties:,}",
        _p(found.p_value),
        _p(each.adjusted_p),
        each.verdict,
    )


def _is_cost(metric: str) -> bool:
    return any(name in metric for name in _LESS_IS_BETTER)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
