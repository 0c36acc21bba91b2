"""What 4 bits cost and give: size, speed and accuracy beside the 16-bit model."""

from collections.abc import Sequence

from pocketphi.errors import UserError
from pocketphi.eval.compare import compare
from pocketphi.eval.report.facts import last_checkpoint, packed_bytes, parameters
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, note
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.reading import TIERS, Evaluation, Run, numbers
from pocketphi.eval.report.scores import said
from pocketphi.eval.report.svg import Bar, Segment, bars
from pocketphi.eval.report.units import percent, size

WEIGHTS, PACKED = "16-bit", "4-bit"


def squeezed_section(run: Run) -> Section | None:
    """Three pairs of bars."""
    before = last_checkpoint(run)
    if "model" not in run.stages or before is None:
        return None
    content: list[Child] = []
    weights = parameters(run)
    file_bytes = packed_bytes(run)
    if weights and file_bytes:
        whole = 2.0 * weights
        rows = [_bar(WEIGHTS, whole, size(whole), "f4"), _bar(PACKED, file_bytes, size(file_bytes), "f5")]
        content += [
            tag("h3", "Size"),
            _figure(
                rows,
                f"Size: {size(whole)} at 16 bits, {size(file_bytes)} at 4.",
                f"{whole / file_bytes:.1f} times as small. {_formats(run)}The file holds the tokenizer too; "
                "the 16-bit figure is two bytes a parameter.",
            ),
        ]
    pair = [(WEIGHTS, run.evaluations.get(before), "f4"), (PACKED, run.evaluations.get("model"), "f5")]
    found = [(name, value, colour) for name, value, colour in pair if value is not None]
    speeds = [(name, speed, colour) for name, value, colour in found if (speed := answer_speed(value))]
    if len(speeds) == 2:
        told = ", ".join(f"{name} {speed:,.0f} tokens a second" for name, speed, _ in speeds)
        content += [
            tag("h3", "Speed"),
            _figure(
                [_bar(name, speed, f"{speed:,.0f} tokens/s", colour) for name, speed, colour in speeds],
                f"Speed while answering the held-out questions: {told}.",
                "Written tokens per second while all questions were answered, in batches: PyTorch runs the 16-bit "
                "model, the engine the 4-bit file.",
            ),
        ]
    content += _accuracy(found)
    if not content:
        content = [note("There is a 4-bit file, but nothing was measured on it.")]
    return Section(anchor="squeezed", title="16 bits against 4", content=content)


def _formats(run: Run) -> str:
    found = numbers(run.stages["model"].summary)
    told = []
    if "bits_per_weight" in found:
        told.append(f"{found['bits_per_weight']:.2f} bits a weight, scales and 8-bit tensors included")
    if "embedding_bits" in found:
        told.append(f"{found['embedding_bits']:.0f} for the embedding")
    if "divergence" in found:
        told.append(f"rounding moves its predictions by {found['divergence']:.2g} nats a token (KL divergence)")
    return f"{'; '.join(told)}. " if told else ""


def answer_speed(value: Evaluation) -> float | None:
    """Written tokens per second while questions were answered, if that was measured."""
    return numbers(value.measured).get("tokens_per_second")


def _accuracy(found: Sequence[tuple[str, Evaluation, str]]) -> list[Child]:
    rows, told = [], []
    for tier, title in TIERS.items():
        for name, value, colour in found:
            if tier in value.tiers:
                score = value.tiers[tier]
                bar = Segment(value=score.accuracy, colour=colour, hint=f"{name}, {title}: {said(score)}")
                note_ = f"{percent(score.accuracy)} ± {100 * score.standard_error:.1f}"
                rows.append(Bar(label=f"{name}, {title}", segments=[bar], note=note_, error=2 * score.standard_error))
                told.append(f"{name}, {title}: {said(score)}.")
    if len(found) < 2 or not rows:
        return []
    drawn = figure(
        lambda width: bars(rows, width, longest=1.0, gap_after=range(1, len(rows), 2)),
        f"Accuracy. {' '.join(told)}",
        ["Error bars reach two standard errors. ", _paired(*(value for _, value, _ in found))],
    )
    return [tag("h3", "Accuracy"), drawn]


def _paired(before: Evaluation, after: Evaluation) -> str:
    """Question by question, which says more than two accuracies."""
    if not after.samples:
        return ""
    try:
        found = compare(after.samples, before.samples)
    except UserError:
        return ""
    return (
        f"Question by question: {found.only_second:,} that only 16 bits got right, {found.only_first:,} that only "
        f"4 bits did, so 4 bits are {100 * found.difference:+.1f} ± {100 * found.standard_error:.1f} points better; "
        f"{percent(found.same_answers)} of the answers are the same to the letter."
    )


def _bar(label: str, value: float, shown: str, colour: str) -> Bar:
    return Bar(label=label, segments=[Segment(value=value, colour=colour)], note=shown)


def _figure(rows: Sequence[Bar], label: str, caption: str) -> Child:
    return figure(lambda width: bars(rows, width), label, caption)
