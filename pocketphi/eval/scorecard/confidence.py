"""Is the model as right as it is sure?"""

from collections.abc import Callable, Sequence
from functools import partial

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.svg import Drawing
from pocketphi.eval.report.units import NBSP, percent
from pocketphi.eval.results import Item
from pocketphi.eval.scorecard.pictures import Bin, mosaic, reliability
from pocketphi.eval.scorecard.reading import Run, title_of
from pocketphi.eval.statistics import Bin as Share
from pocketphi.eval.statistics import Calibration, calibration, score_of

MOST = 24
"""Tasks that are drawn."""
IN_A_BIN = 20
"""Answers, at least, where that leaves two bins."""


def calibration_section(run: Run) -> Section | None:
    """Reliability diagrams of the tasks whose choices were compared."""
    found: dict[str, Calibration] = {}
    for name, items in run.items.items():
        made = binned(items)
        if made is not None:
            found[title_of(name, run.tasks[name])] = made
    if not found:
        return None
    # Of everything together first: it has most answers.
    chosen = [item for items in run.items.values() for item in items]
    every = binned(chosen) if len(found) > 1 else None
    shown = ({"all tasks": every} if every is not None else {}) | found
    panels = [
        partial(reliability, name, _subtitle(made), [_bin(each) for each in made.bins])
        for name, made in list(shown.items())[:MOST]
    ]
    told = "; ".join(f"{name} {100 * made.error:.1f} points" for name, made in shown.items())
    rows: list[list[Child]] = [
        [
            name,
            f"{made.count:,}",
            str(len(made.bins)),
            f"{100 * made.error:.1f}",
            _mean(made, "confidence"),
            _mean(made, "accuracy"),
        ]
        for name, made in shown.items()
    ]
    heads = ["task", "answers", "bins", "calibration error, points", "mean confidence", "right"]
    return Section(
        anchor="calibration",
        title="Is it as right as it is sure?",
        content=[
            tag(
                "p",
                "Where a choice is made by comparing likelihoods, they say how sure the model is. Dots on the diagonal "
                "are honest; below it the model is surer than it is right. The expected calibration error is the mean "
                "distance from the diagonal, over all answers.",
            ),
            figure(
                lambda width: _grid(panels, width),
                f"Reliability diagrams. Expected calibration error: {told}.",
                "Across: the probability of the choice that was made, among all choices. Up: how often it was right, "
                f"with intervals of 95{NBSP}%. The dots of a task stand for about as many answers each."
                + (f" The first {MOST} of {len(shown)}; the table has all." if len(shown) > MOST else ""),
            ),
            folded("The numbers", table(heads, rows, "Calibration by task", range(1, 6))),
        ],
    )


def binned(items: Sequence[Item]) -> Calibration | None:
    """Calibration in as many bins as there are answers for: of a handful of answers each, all would be noise."""
    whole = calibration(items, bins=1)
    return None if whole is None else calibration(items, bins=min(10, max(2, whole.count // IN_A_BIN)))


def _subtitle(made: Calibration) -> str:
    return f"error {100 * made.error:.1f} points · {made.count:,}"


def _bin(each: Share) -> Bin:
    right = round(each.accuracy * each.count)
    score = score_of([1.0] * right + [0.0] * (each.count - right), [str(index) for index in range(each.count)])
    return Bin(confidence=each.confidence, accuracy=each.accuracy, low=score.low, high=score.high, count=each.count)


def _mean(made: Calibration, what: str) -> str:
    return percent(sum(getattr(each, what) * each.count for each in made.bins) / made.count)


def _grid(panels: Sequence[Callable[[float], Drawing]], width: float) -> Drawing:
    return mosaic(panels, width, 2 if width <= svg.NARROW else 4)
