"""Watching stages on standard error: a live line at a terminal, plain lines anywhere else, and a table at the end."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pocketphi.artifact import Artifact, Progress
from pocketphi.cli.report import notice
from pocketphi.hub.disk import human_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from pocketphi.stages import Outcome, View

_HEADLINES: Mapping[str, Mapping[str, str]] = {
    "primer": {
        "pages": "web.pages",
        "lessons": "lessons.count",
        "conversations": "conversations.count",
        "questions": "questions.count",
    },
    "corpus": {"kept": "kept", "dropped": "dropped", "lessons": "parts.lessons"},
    "tokenizer": {"tokens": "vocab_size", "documents": "documents"},
    "shards": {
        "web": "parts.web.tokens",
        "best": "parts.web_best.tokens",
        "lessons": "parts.lessons.tokens",
    },
    "checkpoint": {"loss": "last.loss", "tokens": "tokens"},
    "evaluation": {
        "known templates": "accuracy_known_templates",
        "new templates": "accuracy_new_templates",
        "bits per byte": "bits_per_byte",
        "perplexity": "perplexity",
        "ended": "ended_fraction",
        "documents": "documents",
    },
    "model": {"bits per weight": "bits_per_weight", "bytes": "bytes"},
}
"""Kind of an artifact -> what the table shows: name, and where in the summary it is."""


@contextmanager
def watching() -> Iterator["View"]:
    """A view of a run."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:18}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Live(bars)


@contextmanager
def one_stage(name: str) -> Iterator[Progress]:
    """The progress of a stage that runs by itself."""
    with watching() as view:
        view.started(name)
        yield view.progress


def print_summary(outcomes: Sequence["Outcome"]) -> None:
    """What was made: stage, time, memory, size, figures."""
    rows = [("stage", "time", "memory", "size", "")]
    for outcome in outcomes:
        peak = outcome.peak_memory_bytes
        rows.append(
            (
                outcome.stage,
                "finished" if outcome.was_finished else duration(outcome.seconds),
                "" if peak is None else human_size(peak),
                human_size(outcome.artifact.size_bytes),
                headline(outcome.artifact),
            )
        )
    rows.append(("total", duration(sum(outcome.seconds for outcome in outcomes)), "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [row[column].rjust(widths[column]) for column in (1, 2, 3)] + [row[4]]
        notice("  ".join(cells).rstrip())


def headline(artifact: Artifact) -> str:
    """The figures of an artifact that are worth a look."""
    found = {name: _at(artifact.summary, place) for name, place in _HEADLINES.get(artifact.kind, {}).items()}
    return figures({name: value for name, value in found.items() if value is not None})


def funnel(corpus: Artifact) -> Iterator[str]:
    """What each step of curation dropped, and why."""
    for step in corpus.summary["funnel"]:
        why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(step["reasons"].items()))
        yield f"{step['step']:22} {step['kept']:>9,} kept {step['dropped']:>9,} dropped  {why}".rstrip()


def figures(values: Mapping[str, Any]) -> str:
    """Figures in one line: `loss 2.31, tokens/s 51,200`."""
    return ", ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in values.items())


def duration(seconds: float) -> str:
    """`7.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _at(values: Mapping[str, Any], place: str) -> object:
    """The number at a dotted place in nested objects, if there is one."""
    value: Any = values
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


def _figure(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


class _Plain:
    """Lines: when a stage starts, at each further quarter, when it is done."""

    def __init__(self) -> None:
        self._stage = ""
        self._quarter = 0

    def started(self, stage: str) -> None:
        self._stage, self._quarter = stage, 0
        notice(f"{stage} ...")

    def progress(self, done: float, total: float, values: Mapping[str, float | str]) -> None:
        quarter = int(4 * done / total) if total > 0 else 0
        if self._quarter < quarter < 4:
            notice(f"{self._stage}: {25 * quarter} %  {figures(values)}".rstrip())
        self._quarter = max(self._quarter, quarter)

    def ended(self, outcome: "Outcome") -> None:
        notice(_ended(outcome))

    def notice(self, text: str) -> None:
        notice(text)


class _Live:
    """One bar for the stage that runs; a line stays of each that is done."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._task = bars.add_task("", visible=False, figures="")
        self._started = 0.0

    def started(self, stage: str) -> None:
        self._bars.reset(self._task, description=stage, total=None, visible=True, figures="")
        self._started = time.monotonic()

    def progress(self, done: float, total: float, values: Mapping[str, float | str]) -> None:
        rate = done / max(time.monotonic() - self._started, 1e-3)
        self._bars.update(
            self._task, completed=done, total=total or None, figures=f"{_figure(rate)}/s  {figures(values)}"
        )

    def ended(self, outcome: "Outcome") -> None:
        self._bars.update(self._task, visible=False)
        self.notice(_ended(outcome))

    def notice(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _ended(outcome: "Outcome") -> str:
    how = "finished already" if outcome.was_finished else duration(outcome.seconds)
    return f"{outcome.stage}: {how}  {headline(outcome.artifact)}".rstrip()
