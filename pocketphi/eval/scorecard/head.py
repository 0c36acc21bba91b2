"""The first screen: which model, and how well it does, in a few figures."""

from pocketphi.eval.report.markup import Child, clipped, tag
from pocketphi.eval.report.units import NBSP, percent
from pocketphi.eval.scorecard.confidence import binned
from pocketphi.eval.scorecard.published import AVERAGED, PHI3
from pocketphi.eval.scorecard.reading import Run, is_share, title_of
from pocketphi.eval.scorecard.table import averages

DIGITS = 12


def head(run: Run) -> list[Child]:
    """What stands above the sections."""
    model = run.results.model
    digest = str(model.get("digest", ""))[:DIGITS]
    told = " · ".join(str(part) for part in (model.get("backend"), digest) if part)
    return [
        tag("p", "pocketphi · scorecard", class_="kicker"),
        tag("h1", clipped(run.label, 120)),
        _lead(run),
        tag("p", "Measured with ", tag("code", told), class_="made") if told else None,
        _cards(run),
    ]


def _lead(run: Run) -> Child:
    found = averages(run).get(PHI3[0])
    if found is None:
        number = len(run.scored)
        return tag("p", f"Measured on {number} {'task' if number == 1 else 'tasks'}.", class_="lead")
    theirs, ours, shared = found
    return tag(
        "p",
        "On average ",
        tag("b", f"{ours:.1f}{NBSP}%"),
        f" over {shared} of the {len(AVERAGED)} benchmarks of the Phi-3 report. Phi-3 mini has a published "
        f"{theirs:.1f}{NBSP}% on the same, through another pipeline.",
        class_="lead",
    )


def _cards(run: Run) -> Child:
    cards: list[tuple[str, str, str]] = []
    if run.items:
        cards.append(("questions asked", f"{sum(map(len, run.items.values())):,}", f"of {len(run.items)} tasks"))
    gains = [
        (score.low - task.chance, title_of(name, task), score.value)
        for name, (task, score) in run.scored.items()
        if task.chance is not None and is_share(task)
    ]
    if gains:
        above = sum(gain > 0 for gain, _, _ in gains)
        cards.append(("clearly better than guessing", f"{above} of {len(gains)}", "tasks, by the interval"))
        gain, title, value = max(gains)
        if gain > 0:
            cards.append(("most above guessing", f"{100 * value:.1f}{NBSP}%", title))
    made = binned([item for items in run.items.values() for item in items])
    if made is not None:
        cards.append(("calibration error", percent(made.error), f"over {made.count:,} choices"))
    if not cards:
        return None
    return tag(
        "dl",
        [tag("div", tag("dt", name, tag("small", more)), tag("dd", value)) for name, value, more in cards],
        class_="cards",
    )
