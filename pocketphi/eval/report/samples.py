"""Answers to look at: what was asked, what the model wrote, and whether it is right."""

from collections.abc import Sequence

from pocketphi.eval.questions import Sample
from pocketphi.eval.report.markup import Child, Html, clipped, tag
from pocketphi.eval.report.page import Section, folded
from pocketphi.eval.report.reading import STAGES, TIERS, Evaluation, Run

SHOWN = 4
IN_ALL = 12
CHARACTERS = 1200


def samples_section(run: Run) -> Section | None:
    """Right and wrong answers of the last thing that was measured."""
    measured = last_measured(run)
    if measured is None or not measured.samples:
        return None
    right = varied([sample for sample in measured.samples if sample.is_correct], IN_ALL)
    wrong = varied([sample for sample in measured.samples if not sample.is_correct], IN_ALL)
    content: list[Child] = [
        tag(
            "p",
            f"Held-out questions, answered by the {STAGES.get(measured.name, measured.name)}: ",
            "the first of each topic in the order asked, not the nicest.",
        )
    ]
    for title, samples in (("Right", right), ("Wrong", wrong)):
        if not samples:
            continue
        content.append(tag("h3", title))
        content.append(tag("div", [conversation(sample) for sample in samples[:SHOWN]], class_="pair"))
        if samples[SHOWN:]:
            more = tag("div", [conversation(sample) for sample in samples[SHOWN:]], class_="pair")
            content.append(folded(f"{len(samples) - SHOWN} more", more))
    return Section(anchor="samples", title="What it says", content=content)


def last_measured(run: Run) -> Evaluation | None:
    """The evaluation of the last stage that has one."""
    staged = [value for value in run.evaluations.values() if not value.is_baseline]
    return staged[-1] if staged else None


def varied(samples: Sequence[Sample], most: int) -> list[Sample]:
    """The first of each topic, then the second of each, ..."""
    seen: dict[str, int] = {}
    rounds = []
    for order, sample in enumerate(samples):
        seen[sample.topic] = seen.get(sample.topic, 0) + 1
        rounds.append((seen[sample.topic], order))
    return [samples[order] for _, order in sorted(rounds)[:most]]


def conversation(sample: Sample) -> Html:
    """A question and its answer as a chat."""
    tier = TIERS.get(sample.tier, sample.tier)
    verdict: list[Child] = [tag("span", "✓ right", class_="right-word")]
    if not sample.is_correct:
        verdict = [
            tag("span", "✗ wrong", class_="wrong-word"),
            ", expected ",
            tag("bdi", clipped(sample.expected, 200)),
        ]
    if not sample.ended:
        verdict.append(" · did not end its turn")
    return tag(
        "article",
        tag("p", f"{sample.topic.replace('_', ' ')} · {tier}", class_="meta"),
        tag("div", clipped(sample.question, CHARACTERS), class_="bubble asks"),
        tag(
            "div",
            clipped(sample.written, CHARACTERS) or "(nothing)",
            class_=f"bubble says {'right' if sample.is_correct else 'wrong'}",
        ),
        tag("p", verdict, class_="verdict"),
        class_="chat",
        aria_label=f"{'Right' if sample.is_correct else 'Wrong'} answer",
    )
