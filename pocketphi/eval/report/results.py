"""What the model can do: accuracy after every stage and by topic, in both tiers, beside the baselines.

A run without questions, on own pages alone, shows what held-out documents cost instead.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pocketphi.eval.report.facts import packed_name
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.reading import TIERS, Evaluation, Run, Score
from pocketphi.eval.report.scores import Column, Scores, said, stages, topics
from pocketphi.eval.report.svg import Bar, Segment, bars
from pocketphi.eval.report.training import COLOUR, SHORT
from pocketphi.eval.report.units import percent


def accuracy_section(run: Run) -> Section | None:
    """By stage and by topic, both tiers, with standard errors and baselines."""
    staged = [value for value in run.evaluations.values() if not value.is_baseline and value.tiers]
    if not staged:
        return _cost_section(run)
    tiers = [tier for tier in TIERS if any(tier in value.tiers for value in staged)]
    tiers += sorted({tier for value in staged for tier in value.tiers} - set(tiers))
    columns = [Column(name=_short(run, value), colour=f"f{COLOUR.get(value.name, '6')}") for value in staged]
    scores = {title(tier): [value.tiers.get(tier) for value in staged] for tier in tiers}
    baselines = {
        re.sub(r"(?<=[a-z])-", " ", value.name): {title(tier): score for tier, score in value.tiers.items()}
        for value in run.evaluations.values()
        if value.is_baseline
    }
    content: list[Child] = [
        tag(
            "p",
            "None of these questions was seen in training: each has a person’s name or a combination of numbers that "
            "the primer keeps for them. A single number is not new: where 7 + 8 is kept back, 7 + 9 is not. Some are "
            "told in sentences that training used, others in sentences that occur nowhere else. An answer counts if "
            "what stands after “Answer:” is exactly right.",
        ),
        figure(
            lambda width: stages(columns, scores, baselines, width),
            f"Accuracy after every stage. {_told(columns, scores)} {_baselines_told(baselines)}".strip(),
            ["Bars reach two standard errors up and down.", " Dashed: what takes no model." if baselines else None],
        ),
        _by_topic(staged, tiers, columns),
        folded("The numbers", _table(staged, columns, tiers, baselines)),
    ]
    return Section(anchor="accuracy", title="What it can do", content=content)


def _cost_section(run: Run) -> Section | None:
    """Bits per byte after every stage."""
    staged = [value for value in run.evaluations.values() if not value.is_baseline and "bits_per_byte" in value.lessons]
    if not staged:
        return None
    rows: list[Bar] = []
    numbers: list[list[Child]] = []
    for value in staged:
        name, bits, error = _short(run, value), value.lessons["bits_per_byte"], value.lessons.get("standard_error", 0.0)
        bar = Segment(value=bits, colour=f"f{COLOUR.get(value.name, '6')}")
        rows.append(Bar(label=name, segments=[bar], note=f"{bits:.3f} ± {error:.3f}", error=2 * error))
        perplexity = _figure(value, "perplexity", lambda v: f"{v:.3g}")
        documents = f"{value.lessons.get('num_documents', 0):,.0f}"
        numbers.append([name, f"{bits:.3f} ± {error:.3f}", perplexity, documents])
    told = ", ".join(f"{row.label} {row.note}" for row in rows)
    content: list[Child] = [
        tag(
            "p",
            "Held-out documents of the corpus, which no phase read: bits that the model needs for a byte of them, "
            "lower is better. There are no questions to ask without a primer.",
        ),
        figure(
            lambda width: bars(rows, width),
            f"Bits per byte of held-out text after every stage: {told}.",
            "Error bars reach two standard errors, from the spread over documents.",
        ),
        folded(
            "The numbers",
            table(
                ["stage", "bits per byte", "perplexity", "documents"], numbers, "The cost of held-out text", range(1, 4)
            ),
        ),
    ]
    return Section(anchor="perplexity", title="How well it predicts", content=content)


def _short(run: Run, value: Evaluation) -> str:
    return packed_name(run) if value.name == "model" else SHORT.get(value.name, value.name)


def title(tier: str) -> str:
    """A tier as a reader calls it."""
    return f"questions told in {TIERS[tier]}" if tier in TIERS else tier


def _told(columns: Sequence[Column], scores: Mapping[str, Scores]) -> str:
    return " ".join(
        f"{name}: "
        + ", ".join(f"{column.name} {said(score)}" for column, score in zip(columns, of, strict=True) if score)
        + "."
        for name, of in scores.items()
    )


def _baselines_told(baselines: Mapping[str, Mapping[str, Score]]) -> str:
    return " ".join(
        f"Baseline {name}: " + ", ".join(f"{tier} {said(score)}" for tier, score in of.items()) + "."
        for name, of in baselines.items()
    )


def _by_topic(staged: Sequence[Evaluation], tiers: Sequence[str], columns: Sequence[Column]) -> Child:
    last = next((value for value in reversed(staged) if any(value.topics.values())), None)
    if last is None:
        return None
    panels: dict[str, dict[str, Scores]] = {}
    told = []
    for tier in tiers:
        found = last.topics.get(tier, {})
        every = {topic for value in staged for topic in value.topics.get(tier, {})}
        order = sorted(sorted(every), key=lambda topic: -_accuracy(found.get(topic)))
        panels[title(tier)] = {
            topic.replace("_", " "): [value.topics.get(tier, {}).get(topic) for value in staged] for topic in order
        }
        if found:
            told.append(f"{title(tier)}: {', '.join(f'{t} {percent(_accuracy(found.get(t)))}' for t in order)}.")
    return [
        tag("h3", "Topic by topic"),
        figure(
            partial(topics, columns, panels),
            f"Accuracy by topic after every stage. At the end, {' '.join(told)}",
            "From the first stage (top dot of a row) to the last; lines reach one standard error.",
        ),
    ]


def _accuracy(score: Score | None) -> float:
    return -1.0 if score is None else score.accuracy


def _table(
    staged: Sequence[Evaluation],
    columns: Sequence[Column],
    tiers: Sequence[str],
    baselines: Mapping[str, Mapping[str, Score]],
) -> list[Child]:
    content: list[Child] = []
    for tier in tiers:
        names = sorted({topic for value in staged for topic in value.topics.get(tier, {})})
        rows: list[list[Child]] = [["all topics", *[_cell(value.tiers.get(tier)) for value in staged]]]
        rows += [
            [name.replace("_", " "), *[_cell(value.topics.get(tier, {}).get(name)) for value in staged]]
            for name in names
        ]
        content.append(
            table(
                ["topic", *[column.name for column in columns]],
                rows,
                f"Accuracy in percent ± standard error: {TIERS.get(tier, tier)}",
                range(1, 9),
            )
        )
    rows = [
        [
            column.name,
            value.form,
            _figure(value, "ended_fraction", percent),
            _figure(value, "answered_fraction", percent),
            _figure(value, "tokens_per_answer", lambda v: f"{v:.1f}"),
            _figure(value, "perplexity", lambda v: f"{v:.3g}"),
            _figure(value, "bits_per_byte", lambda v: f"{v:.3f}"),
        ]
        for column, value in zip(columns, staged, strict=True)
    ]
    heads = [
        "stage",
        "asked as",
        "ended its turn",
        "gave an answer",
        "tokens per answer",
        "perplexity",
        "bits per byte",
    ]
    content.append(table(heads, rows, "Manners, and the cost of held-out lessons", range(2, 7)))
    if baselines:
        content.append(
            table(
                ["baseline", *[TIERS.get(tier, tier) for tier in tiers]],
                [[name, *[_cell(of.get(title(tier))) for tier in tiers]] for name, of in baselines.items()],
                "What takes no model: accuracy in percent ± standard error",
                range(1, 9),
            )
        )
    return content


def _cell(score: Score | None) -> str:
    return "" if score is None else f"{100 * score.accuracy:.1f} ± {100 * score.standard_error:.1f}"


def _figure(value: Evaluation, name: str, shown: Callable[[float], str]) -> str:
    return shown(value.figures[name]) if name in value.figures else ""
