"""How far a score can be trusted: prompt formats, the training corpus, and other runs on the same items."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pocketphi.errors import UserError
from pocketphi.eval.against import Compared, compare_runs
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, note, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.units import NBSP
from pocketphi.eval.scorecard.pictures import Dot, dots, points
from pocketphi.eval.scorecard.reading import Run, is_share, number_of, title_of
from pocketphi.eval.statistics import Paired, format_spread

COLOURS = {"better": "f2", "worse": "f5", "unclear": "f6"}


def formats_section(run: Run) -> Section | None:
    """How much a score hangs on the signs of its prompt."""
    found = {name: task for name, task in run.tasks.items() if len(task.formats) > 1 and is_share(task)}
    if not found:
        return None
    rows: list[Dot] = []
    cells: list[list[Child]] = []
    for name, task in found.items():
        spread = format_spread(task.formats)
        title = title_of(name, task)
        told = f"{100 * (spread.high - spread.low):.1f} points"
        rows.append(Dot(label=title, value=spread.median, low=spread.low, high=spread.high, note=told))
        listed = ", ".join(f"{form} {100 * value:.1f}" for form, value in task.formats.items())
        own = task.scores.get(task.metric)
        error = "" if own is None else f"{100 * own.standard_error:.1f}"
        cells.append([title, told, f"{100 * spread.median:.1f}", error, listed])
    heads = ["task", "from lowest to highest", "median", "standard error of one", "by format"]
    return Section(
        anchor="formats",
        title="How much the prompt’s form matters",
        content=[
            tag(
                "p",
                "The same questions in other signs: other words for “Question” and “Answer”, letters in brackets, "
                "options on a line of their own. What moves with them is no knowledge.",
            ),
            figure(
                lambda width: dots(rows, width),
                "Spread over prompt formats. " + "; ".join(f"{row.label} {row.note}" for row in rows) + ".",
                "Lines reach from the lowest to the highest score over all formats, dots are medians.",
            ),
            folded("The numbers", table(heads, cells, "Scores by prompt format, in percent", (1, 2, 3))),
        ],
    )


def contamination_section(run: Run) -> Section | None:
    """What of the test items stands in the training corpus, and what that does to the score."""
    rows: list[list[Child]] = []
    for name, task in run.tasks.items():
        for rule, value in task.contamination.items():
            if isinstance(value, Mapping):
                shown = [_part(value, part, share=is_share(task)) for part in ("all", "clean", "dirty")]
                rows.append([title_of(name, task), rule, _found(value), _count(value, "unjudged_count"), *shown])
    if not rows:
        return None
    heads = ["task", "rule", "items found", "too short to tell", "all items", "clean items", "found items"]
    return Section(
        anchor="contamination",
        title="Was it in the training corpus?",
        content=[
            tag(
                "p",
                "Items of which the corpus holds enough to call them seen, by more than one rule. If the score of the "
                "clean items lies clearly below that of all, the model has learnt answers by heart.",
            ),
            table(heads, rows, "Overlap of the test items with the training corpus; scores in percent", range(2, 7)),
        ],
    )


def against_section(run: Run, others: Sequence[Run]) -> Section | None:
    """Paired comparisons with other runs, item by item."""
    content: list[Child] = []
    for other in others:
        content += [tag("h3", "Against ", tag("bdi", other.label)), *_against(run, other)]
    if not content:
        return None
    lead = tag(
        "p",
        "On the same items, what both get right or wrong cancels: differences are known better than from two scores. "
        "To the right of zero this run is better. Of so many tasks some differ by chance alone; the last column of the "
        "table is adjusted for that (Holm 1979).",
    )
    return Section(anchor="against", title="Compared item by item", content=[lead, *content])


def _against(run: Run, other: Run) -> list[Child]:
    try:
        made = compare_runs(run.folder, other.folder)
    except UserError as error:
        return [note(f"Not compared: {error.message}.")]
    titles = {name: title_of(name, task) for name, task in run.tasks.items()}
    found = {name: each for name, each in made.tasks.items() if name in titles and _is_finite(each.paired)}
    shares = {name: each for name, each in found.items() if is_share(run.tasks[name])}
    content: list[Child] = []
    if shares:
        rows = [
            Dot(
                label=titles[name],
                value=each.paired.difference,
                low=each.paired.low,
                high=each.paired.high,
                note=points(each.paired.difference),
                colour=COLOURS[each.verdict],
            )
            for name, each in shares.items()
        ]
        low, high = min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows))
        margin = 0.05 * (high - low) or 0.01
        told = "; ".join(
            f"{titles[name]} {points(each.paired.difference)} points, {each.verdict}" for name, each in shares.items()
        )
        content.append(
            figure(
                lambda width: dots(rows, width, (low - margin, high + margin)),
                f"Differences to {other.label}, in points. {told}.",
                f"Points of difference, with intervals of 95{NBSP}%. Green is better and red worse, by the "
                "adjusted test; grey is unclear.",
            )
        )
    if found:
        cells = [[titles[name], *_cells(each, share=name in shares)] for name, each in found.items()]
        heads = ["task", "metric", "difference", "95 %", "higher", "lower", "equal", "p", "p, adjusted", "this run is"]
        content.append(folded("The numbers", table(heads, cells, "Paired differences, shares in points", range(2, 9))))
    else:
        content.append(note("Nothing of the two can be compared."))
    notes = [f"{titles[name]}: {why}" for name, each in found.items() for why in each.notes]
    notes += [f"{titles.get(name, name)} is not compared: {'; '.join(why)}" for name, why in made.refused.items()]
    return [*content, note(f"{'; '.join(notes)}.")] if notes else content


def _cells(each: Compared, *, share: bool) -> list[Child]:
    found = each.paired
    if share:
        told = f"{points(found.difference)}{NBSP}±{NBSP}{100 * found.standard_error:.1f}"
        reach = f"{points(found.low)} to {points(found.high)}"
    else:
        told = f"{found.difference:+.3g}{NBSP}±{NBSP}{found.standard_error:.2g}"
        reach = f"{found.low:+.3g} to {found.high:+.3g}"
    counts = [f"{count:,}" for count in (found.wins, found.losses, found.ties)]
    return [each.metric, told, reach, *counts, _p_value(found.p_value), _p_value(each.adjusted_p), each.verdict]


def _is_finite(found: Paired) -> bool:
    """Whether its figures are finite, which those of damaged items are not."""
    return all(map(math.isfinite, (found.difference, found.standard_error, found.low, found.high, found.p_value)))


def _p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _part(value: Mapping[str, Any], part: str, *, share: bool) -> str:
    found = value.get(part)
    if not isinstance(found, Mapping):
        return "–"
    mean, error = (number_of(found.get(key)) for key in ("value", "standard_error"))
    if mean is None or error is None:
        return "–"
    return f"{100 * mean:.1f}{NBSP}±{NBSP}{100 * error:.1f}" if share else f"{mean:.4g}{NBSP}±{NBSP}{error:.2g}"


def _found(value: Mapping[str, Any]) -> str:
    return f"{_count(value, 'dirty_count')} of {_count(value, 'count')}"


def _count(value: Mapping[str, Any], key: str) -> str:
    count = number_of(value.get(key))
    return "–" if count is None else f"{count:,.0f}"
