"""What the model can do: accuracy after every stage and by topic, in both tiers, beside the baselines."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import figure, said, steps, topics
from pocketphi.eval.report.reading import TIERS, Evaluation, Run, Score
from pocketphi.eval.report.training import COLOUR, SHORT
from pocketphi.eval.report.units import percent


def accuracy_section(run: Run) -> Section | None:
    """By stage and by topic, both tiers, with standard errors and baselines."""
    staged = [value for value in run.evaluations.values() if not value.is_baseline and value.tiers]
    if not staged:
        return None
    tiers = [tier for tier in TIERS if any(tier in value.tiers for value in staged)]
    tiers += sorted({tier for value in staged for tier in value.tiers} - set(tiers))
    columns = [SHORT.get(value.name, value.name) for value in staged]
    colours = [f"f{COLOUR.get(value.name, '6')}" for value in staged]
    scores = {tier: [value.tiers.get(tier) for value in staged] for tier in tiers}
    baselines = {value.name.replace("-", " "): value.tiers for value in run.evaluations.values() if value.is_baseline}
    titles = {tier: f"questions with {name}" for tier, name in TIERS.items()}
    told = " ".join(
        f"{titles.get(tier, tier)}: "
        + ", ".join(f"{name} {said(score)}" for name, score in zip(columns, scores[tier], strict=True) if score)
        + "."
        for tier in tiers
    )
    against = " ".join(
        f"Baseline {name}: " + ", ".join(f"{TIERS.get(tier, tier)} {said(score)}" for tier, score in of.items()) + "."
        for name, of in baselines.items()
    )
    content: list[Child] = [
        tag(
            "p",
            "None of these questions was seen in training. One kind has new numbers and names in familiar sentences, "
            "the other is told in sentences that occur nowhere else. An answer counts if it is exactly right.",
        ),
        figure(
            lambda width: steps(columns, scores, baselines, colours, width, titles),
            f"Accuracy after every stage. {told} {against}".strip(),
            ["Bars reach two standard errors up and down. ", "Dashed: what takes no model. " if baselines else None],
        ),
        _by_topic(staged, tiers, columns, colours),
        folded("The numbers", _table(staged, tiers, baselines)),
    ]
    return Section(anchor="accuracy", title="What it can do", content=content)


def _by_topic(
    staged: Sequence[Evaluation], tiers: Sequence[str], columns: Sequence[str], colours: Sequence[str]
) -> Child:
    content: list[Child] = []
    for tier in tiers:
        last = next((value for value in reversed(staged) if value.topics.get(tier)), None)
        if last is None:
            continue
        by_topic = {
            topic: [value.topics.get(tier, {}).get(topic) for value in staged]
            for topic in sorted({topic for value in staged for topic in value.topics.get(tier, {})})
        }
        order = sorted(by_topic, key=lambda topic: -_accuracy(last.topics[tier].get(topic)))
        best, worst = (f"{name} {percent(_accuracy(last.topics[tier].get(name)))}" for name in (order[0], order[-1]))
        content.append(tag("h3", f"By topic: {TIERS.get(tier, tier)}"))
        names = {topic: topic.replace("_", " ") for topic in order}
        shown = {names[topic]: by_topic[topic] for topic in order}
        content.append(
            figure(
                partial(topics, list(zip(columns, colours, strict=True)), shown),
                f"Accuracy by topic after every stage, {TIERS.get(tier, tier)}. Best: {best}. Worst: {worst}. "
                "All values are in the table below.",
                "From the first stage (top dot of a row) to the last; bars reach one standard error.",
            )
        )
    return content


def _accuracy(score: Score | None) -> float:
    return -1.0 if score is None else score.accuracy


def _table(
    staged: Sequence[Evaluation], tiers: Sequence[str], baselines: Mapping[str, Mapping[str, Score]]
) -> list[Child]:
    content: list[Child] = []
    columns = [SHORT.get(value.name, value.name) for value in staged]
    for tier in tiers:
        names = sorted({topic for value in staged for topic in value.topics.get(tier, {})})
        rows: list[list[Child]] = [["all topics", *[_cell(value.tiers.get(tier)) for value in staged]]]
        rows += [
            [name.replace("_", " "), *[_cell(value.topics.get(tier, {}).get(name)) for value in staged]]
            for name in names
        ]
        content.append(
            table(
                ["topic", *columns], rows, f"Accuracy in percent ± standard error: {TIERS.get(tier, tier)}", range(1, 9)
            )
        )
    rows = [
        [
            column,
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
                [[name, *[_cell(of.get(tier)) for tier in tiers]] for name, of in baselines.items()],
                "What takes no model: accuracy in percent ± standard error",
                range(1, 9),
            )
        )
    return content


def _cell(score: Score | None) -> str:
    return "" if score is None else f"{100 * score.accuracy:.1f} ± {100 * score.standard_error:.1f}"


def _figure(value: Evaluation, name: str, shown: Callable[[float], str]) -> str:
    return shown(value.figures[name]) if name in value.figures else ""
