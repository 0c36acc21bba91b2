"""How far a score can be trusted: prompt formats, the training corpus, and other runs on the same items."""

from collections.abc import Mapping, Sequence
from typing import Any

from pocketphi.errors import UserError
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, note, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.units import NBSP
from pocketphi.eval.scorecard.pictures import Dot, dots, points
from pocketphi.eval.scorecard.reading import Run, is_share, number_of, title_of
from pocketphi.eval.statistics import Paired, format_spread, holm, paired


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
                rows.append([title_of(name, task), rule, _found(value), *shown])
    if not rows:
        return None
    heads = ["task", "rule", "items found", "all items", "clean items", "found items"]
    return Section(
        anchor="contamination",
        title="Was it in the training corpus?",
        content=[
            tag(
                "p",
                "Items of which the corpus holds enough to call them seen, by more than one rule. If the score of the "
                "clean items lies clearly below that of all, the model has learnt answers by heart.",
            ),
            table(heads, rows, "Overlap of the test items with the training corpus; scores in percent", (2, 3, 4, 5)),
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


def compared(run: Run, other: Run) -> tuple[dict[str, Paired], list[str]]:
    """By title of a task, and what could not be compared."""
    found: dict[str, Paired] = {}
    notes: list[str] = []
    for name in run.items:
        if name not in other.items:
            continue
        task, theirs = run.tasks[name], other.tasks[name]
        title = title_of(name, task)
        if task.metric != theirs.metric:
            notes.append(f"{title} is judged by another metric")
            continue
        first = {item.id: item for item in run.items[name] if task.metric in item.scores}
        second = {item.id: item for item in other.items[name] if task.metric in item.scores}
        shared = [key for key in first if key in second]
        if not shared:
            notes.append(f"{title} has no items in common")
            continue
        if len(shared) < max(len(first), len(second)):
            notes.append(f"{title} is compared on the {len(shared):,} items that both have")
        if any(first[key].prompt_digest != second[key].prompt_digest for key in shared):
            notes.append(f"{title} was asked with other prompts")
        values = [[each[key].scores[task.metric] for key in shared] for each in (first, second)]
        try:
            found[title] = paired(values[0], values[1], [first[key].cluster for key in shared])
        except UserError as error:
            notes.append(f"{title}: {error.message}")
    return found, notes


def _against(run: Run, other: Run) -> list[Child]:
    found, notes = compared(run, other)
    content: list[Child] = []
    if found:
        rows = [
            Dot(
                label=title,
                value=each.difference,
                low=each.low,
                high=each.high,
                note=points(each.difference),
                colour={"higher": "f2", "lower": "f5", "unclear": "f6"}[each.verdict],
            )
            for title, each in found.items()
        ]
        low, high = min(0.0, *(row.low for row in rows)), max(0.0, *(row.high for row in rows))
        margin = 0.05 * (high - low) or 0.01
        reach = (low - margin, high + margin)
        told = "; ".join(f"{title} {points(each.difference)} points, {each.verdict}" for title, each in found.items())
        content.append(
            figure(
                lambda width: dots(rows, width, reach),
                f"Differences to {other.label}, in points. {told}.",
                f"Points of difference, with intervals of 95{NBSP}%; grey where they hold zero.",
            )
        )
        adjusted = holm({title: each.p_value for title, each in found.items()})
        cells: list[list[Child]] = [
            [
                title,
                f"{points(each.difference)}{NBSP}±{NBSP}{100 * each.standard_error:.1f}",
                f"{points(each.low)} to {points(each.high)}",
                f"{each.wins:,}",
                f"{each.losses:,}",
                f"{each.ties:,}",
                _p_value(each.p_value),
                _p_value(adjusted[title]),
            ]
            for title, each in found.items()
        ]
        heads = ["task", "points ± standard error", "interval of 95 %", "better", "worse", "equal", "p", "p, adjusted"]
        content.append(folded("The numbers", table(heads, cells, "Paired differences", range(1, 8))))
    else:
        content.append(note("The two have no task in common."))
    content += [note(f"{'; '.join(notes)}.")] if notes else []
    return content


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
    count, total = number_of(value.get("dirty_count")), number_of(value.get("count"))
    return "–" if count is None or total is None else f"{count:,.0f} of {total:,.0f}"
