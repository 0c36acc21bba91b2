"""Parts of a benchmark: subjects, years, languages."""

from functools import partial

from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.units import NBSP
from pocketphi.eval.results import Score
from pocketphi.eval.scorecard.pictures import Dot, dots
from pocketphi.eval.scorecard.reading import Run, is_share, title_of

MOST = 150
"""Subsets of a task that are drawn."""


def subsets_section(run: Run) -> Section | None:
    """Each task with several subsets, to open."""
    opened: list[Child] = []
    for name, task in run.tasks.items():
        scores = {subset: of[task.metric] for subset, of in task.subsets.items() if task.metric in of}
        if len(scores) < 2 or not is_share(task):
            continue
        ranked = sorted(scores.items(), key=lambda pair: (-pair[1].value, pair[0]))
        rows = [_dot(subset, score) for subset, score in ranked[:MOST]]
        title = title_of(name, task)
        told = "; ".join(f"{row.label} {row.note}" for row in rows)
        best, worst = ranked[0], ranked[-1]
        summary = f" · {len(scores)} parts, from {_readable(best[0])} ({100 * best[1].value:.0f}{NBSP}%) to "
        summary += f"{_readable(worst[0])} ({100 * worst[1].value:.0f}{NBSP}%)"
        more = f" The best {MOST} of {len(ranked):,}." if len(ranked) > MOST else ""
        picture = figure(
            partial(dots, rows),
            f"{title} by part. {told}.",
            f"Right answers with intervals of 95{NBSP}%, highest first.{more}",
        )
        opened.append(folded([tag("strong", title), summary], picture))
    if not opened:
        return None
    lead = tag("p", "A part has few items, and the best of many looks better than it is: mind the intervals.")
    return Section(anchor="subsets", title="Part by part", content=[lead, *opened])


def _dot(subset: str, score: Score) -> Dot:
    shown = f"{100 * score.value:.0f}{NBSP}% of {score.count:,}"
    return Dot(label=_readable(subset), value=score.value, low=score.low, high=score.high, note=shown)


def _readable(subset: str) -> str:
    return subset.replace("_", " ") or "(none)"
