"""The table: our scores beside those that others published, and the same as bars."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from pocketphi.eval.report.markup import Child, Html, tag
from pocketphi.eval.report.page import Section, note, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.units import NBSP
from pocketphi.eval.results import Score, TaskResult
from pocketphi.eval.scorecard.pictures import Mark, Rung, ladder
from pocketphi.eval.scorecard.published import AVERAGED, COLUMNS, CORRECTED, PEERS, PHI3, PUBLISHED, SOURCE
from pocketphi.eval.scorecard.reading import Run, is_share, title_of

SHAPES = ("circle", "diamond", "triangle")
"""Of the first three published columns, in a picture."""
OTHERS = ("f3", "f4", "f5", "f2", "f6")
"""Colours of other runs of ours."""


def table_section(run: Run) -> Section:
    """The report's benchmarks, and whatever else was run."""
    rest = {name: task for name, task in run.tasks.items() if name not in PUBLISHED}
    content: list[Child] = []
    if rest.keys() != run.tasks.keys():
        content += [
            tag(
                "p",
                tag("strong", "Ours"),
                f" is measured here: the score ± its standard error, below it the interval of 95{NBSP}%, and ",
                tag("i", "n"),
                " items out of those of the public test set. ",
                tag("strong", "Published"),
                " scores are by others, through another pipeline with its own prompts, on full sets. Pipelines alone "
                "differ by some points: compare runs of ours with each other, and take these for orientation.",
            ),
            _benchmarks(run),
            note(
                f"Published: {SOURCE}. * The report prints 85.8 for GPT-3.5 on TruthfulQA, which contradicts the "
                "average that it prints and the model cards: both need 67.7. Phi-3.5 mini is shown where it was asked "
                "with as many examples. CoT: the answer is reasoned first. MC2: the probability of all true answers "
                "together.",
            ),
        ]
    if rest:
        content += [tag("h3", "Other tasks"), _rest(run, rest)]
    return Section(anchor="table", title="The table", content=content)


def bars_section(run: Run, others: Sequence[Run]) -> Section | None:
    """The same as a picture, with other runs of ours."""
    runs = [run, *others]
    names = list(dict.fromkeys(name for each in runs for name, (task, _) in each.scored.items() if is_share(task)))
    names.sort(key=lambda name: list(PUBLISHED).index(name) if name in PUBLISHED else len(PUBLISHED))
    if not names:
        return None
    rungs = [_rung(name, run, others) for name in names]
    told = "; ".join(
        f"{rung.label} {rung.ours.hint.rpartition(': ')[2] if rung.ours else 'not measured'}" for rung in rungs
    )
    has_published = any(rung.published for rung in rungs)
    caption: list[Child] = [
        tag("span", run.label, class_="key k1"),
        [[" · ", tag("span", other.label, class_=f"key {_colour(i)}")] for i, other in enumerate(others)],
        f". Whiskers: intervals of 95{NBSP}%. Dotted: guessing.",
        " Hollow marks: published by others, measured by another pipeline (○ Phi-3 mini, ◇ small, △ medium)."
        if has_published
        else None,
    ]
    return Section(
        anchor="bars",
        title="With error bars",
        content=[figure(lambda width: ladder(rungs, width), f"Scores by benchmark. {told}.", caption)],
    )


def averages(run: Run) -> Mapping[str, tuple[float, float, int]]:
    """Published column -> their mean, ours and the number of benchmarks, over those of the twenty that both have."""
    ours = {name: 100 * score.value for name, (_, score) in run.scored.items() if name in AVERAGED}
    found = {}
    for column in COLUMNS:
        shared = [name for name in ours if column in PUBLISHED[name].scores]
        if shared:
            theirs = fmean(PUBLISHED[name].scores[column] for name in shared)
            found[column] = (theirs, fmean(ours[name] for name in shared), len(shared))
    return found


def _benchmarks(run: Run) -> Html:
    groups = [
        tag("td", class_="corner"),
        tag("th", "Ours", scope="colgroup", colspan=3),
        tag("th", "Published: Phi-3", scope="colgroup", colspan=len(PHI3), class_="from-others"),
        tag("th", "Published: others", scope="colgroup", colspan=len(PEERS), class_="from-others"),
    ]
    heads = [
        tag("th", "benchmark", scope="col"),
        *[tag("th", name, scope="col", class_="n") for name in ("score, %", "n", "chance")],
        *[tag("th", _broken(name), scope="col", class_=_edge(name)) for name in COLUMNS],
    ]
    body = [_row(name, run.tasks.get(name), run) for name in PUBLISHED]
    inside = tag(
        "table",
        tag("caption", "The report’s benchmarks in percent: ours, and published by others"),
        tag("thead", tag("tr", groups), tag("tr", heads)),
        tag("tbody", body),
        _foot(run),
    )
    label = "The report’s benchmarks, ours and published"
    return tag("div", inside, class_="scroll big", tabindex=0, role="region", aria_label=label)


def _row(name: str, task: TaskResult | None, run: Run) -> Html:
    published = PUBLISHED[name]
    pair = run.scored.get(name)
    how = [f"{published.shots} shots", *([published.how] if published.how else [])]
    if task is not None:
        how = [f"{task.shots} shots", *([published.how] if published.how else []), task.form]
        if task.shots != published.shots:
            how[0] += f" (published: {published.shots})"
    told: list[Child] = [_linked(name, published.title, run), tag("small", " · ".join(part for part in how if part))]
    if task is not None and task.note:
        told.append(tag("small", task.note, class_="told"))
    if pair is None:
        missing = "not measured" if task is None else "no score"
        ours: list[Child] = [tag("td", missing, class_="n absent", colspan=3)]
    else:
        ours = _ours(pair[0], pair[1], published.size)
    theirs = [
        tag("td", _published(name, column, published.scores.get(column)), class_=_edge(column)) for column in COLUMNS
    ]
    return tag("tr", tag("th", told, scope="row"), ours, theirs, class_=None if pair else "unmeasured")


def _ours(task: TaskResult, score: Score, size: int | None) -> list[Child]:
    value, interval = _shown(score, is_share=is_share(task))
    whole, _, error = value.partition(NBSP)
    of = f"of {size:,}" if size is not None and size >= score.count else None
    return [
        tag("td", tag("b", whole), NBSP, error, tag("small", interval), class_="n"),
        tag("td", f"{score.count:,}", tag("small", of) if of else None, class_="n"),
        tag("td", "" if task.chance is None else f"{100 * task.chance:.0f}", class_="n"),
    ]


def _foot(run: Run) -> Child:
    found = averages(run)
    if not found:
        return None

    def row(title: str, more: str, own: Child, at: int) -> Html:
        cells = [
            tag("td", f"{found[column][at]:.1f}" if column in found else "", class_=_edge(column)) for column in COLUMNS
        ]
        return tag("tr", tag("th", title, tag("small", more), scope="row"), own, cells)

    ours = [100 * score.value for name, (_, score) in run.scored.items() if name in AVERAGED]
    counts = [tag("td", f"{found[column][2]}" if column in found else "", class_=_edge(column)) for column in COLUMNS]
    mean: Child = [
        tag("td", tag("b", f"{fmean(ours):.1f}"), class_="n"),
        tag("td", str(len(ours)), class_="n"),
        tag("td"),
    ]
    blank = tag("td", colspan=3)
    return tag(
        "tfoot",
        row("Average, theirs", "of what both have", blank, 0),
        row("Average, ours", "over the same benchmarks", mean, 1),
        tag("tr", tag("th", "Benchmarks that both have", scope="row"), blank, counts),
    )


def _rest(run: Run, tasks: Mapping[str, TaskResult]) -> Html:
    rows: list[list[Child]] = []
    for name, task in tasks.items():
        told: list[Child] = [_linked(name, title_of(name, task), run)]
        told += [tag("small", task.note, class_="told")] if task.note else []
        how = f"{task.shots} · {task.form}" if task.form else str(task.shots)
        every = sorted(task.scores.items(), key=lambda pair: (pair[0] != task.metric, pair[0]))
        for metric, score in every:
            value, interval = _shown(score, is_share=is_share(replace(task, metric=metric)))
            chance = "" if task.chance is None or metric != task.metric else f"{100 * task.chance:.0f}"
            shown = tag("b", metric) if metric == task.metric else metric
            rows.append([told, shown, value, interval, f"{score.count:,}", chance, how])
            told = [tag("span", title_of(name, task), class_="again")]
        if not every:
            rows.append([told, task.metric, "no score", "", "", "", how])
    heads = ["task", "metric", "score ± standard error", "interval of 95 %", "n", "chance", "shots · form"]
    return table(
        heads, rows, "Tasks that the report does not have, scores in percent where they are shares", (2, 3, 4, 5)
    )


def _shown(score: Score, *, is_share: bool) -> tuple[str, str]:
    """Score and interval, in percent if it is a share."""
    if is_share:
        value = f"{100 * score.value:.1f}{NBSP}±{NBSP}{100 * score.standard_error:.1f}"
        return value, f"{100 * score.low:.1f} – {100 * score.high:.1f}"
    return f"{score.value:.4g}{NBSP}±{NBSP}{score.standard_error:.2g}", f"{score.low:.4g} – {score.high:.4g}"


def _rung(name: str, run: Run, others: Sequence[Run]) -> Rung:
    marks = [_mark(name, each, _colour(i)) for i, each in enumerate(others)]
    known = next((each.tasks[name] for each in (run, *others) if name in each.tasks), None)
    title = PUBLISHED[name].title if name in PUBLISHED else title_of(name, known) if known is not None else name
    theirs = PUBLISHED[name].scores if name in PUBLISHED else {}
    return Rung(
        label=title,
        ours=_mark(name, run, "f1"),
        others=[mark for mark in marks if mark is not None],
        published=[
            (shape, theirs[column] / 100, f"{title}, {column}, published: {theirs[column]:.1f}{NBSP}%")
            for shape, column in zip(SHAPES, PHI3, strict=False)
            if column in theirs
        ],
        chance=None if known is None else known.chance,
    )


def _mark(name: str, run: Run, colour: str) -> Mark | None:
    pair = run.scored.get(name)
    if pair is None or not is_share(pair[0]):
        return None
    task, score = pair
    value, _ = _shown(score, is_share=True)
    hint = f"{title_of(name, task)}, {run.label}: {value} of {score.count:,}"
    return Mark(value=score.value, low=score.low, high=score.high, colour=colour, hint=hint)


def _colour(index: int) -> str:
    return OTHERS[index % len(OTHERS)]


def _linked(name: str, title: str, run: Run) -> Child:
    """A title that leads to the task's items."""
    return tag("a", title, href="#items", data_task=name) if name in run.items else title


def _published(name: str, column: str, score: float | None) -> str:
    return "" if score is None else f"{score:.1f}{'*' if (name, column) == CORRECTED else ''}"


def _edge(column: str) -> str:
    return "n theirs first" if column in (PHI3[0], PEERS[0]) else "n theirs"


def _broken(name: str) -> Child:
    """A model's name in two lines; what the head of its group says already is left out."""
    first, _, last = name.replace("Phi-3 ", "").replace("Phi-3.5 mini", "3.5-mini").rpartition(" ")
    return [first, tag("br"), last]
