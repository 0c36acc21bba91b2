"""What rounding to few bits costs and gives: size, speed and accuracy beside the 16-bit model."""

from collections.abc import Sequence

from pocketphi.errors import UserError
from pocketphi.eval.compare import compare
from pocketphi.eval.report.facts import last_checkpoint, packed_bits, packed_bytes, packed_name, parameters
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, note
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.reading import STAGES, TIERS, TRAINING, Evaluation, Run, mapping, numbers
from pocketphi.eval.report.scores import said
from pocketphi.eval.report.svg import Bar, Segment, bars
from pocketphi.eval.report.units import percent, size

WEIGHTS = "16-bit"


def squeezed_section(run: Run) -> Section | None:
    """Three pairs of bars."""
    before = last_checkpoint(run)
    if "model" not in run.stages or before is None:
        return None
    content: list[Child] = [_learnt_rounded(run)]
    packed = packed_name(run)
    weights = parameters(run)
    file_bytes = packed_bytes(run)
    if weights and file_bytes:
        whole = 2.0 * weights
        rows = [_bar(WEIGHTS, whole, size(whole), "f4"), _bar(packed, file_bytes, size(file_bytes), "f5")]
        content += [
            tag("h3", "Size"),
            _figure(
                rows,
                f"Size: {size(whole)} at 16 bits, {size(file_bytes)} in the {packed} file.",
                f"{whole / file_bytes:.1f} times as small. {_formats(run)}The file holds the tokenizer too; "
                "the 16-bit figure is two bytes a parameter.",
            ),
        ]
    pair = [(WEIGHTS, run.evaluations.get(before), "f4"), (packed, run.evaluations.get("model"), "f5")]
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
                f"model, the engine the {packed} file.",
            ),
        ]
    content += _accuracy(found) or _cost(found)
    if not any(content):
        content = [note(f"There is a {packed} file, but nothing was measured on it.")]
    return Section(anchor="squeezed", title=f"16 bits against {packed_bits(run) or 'fewer'}", content=content)


def _learnt_rounded(run: Run) -> Child:
    """What "the 16-bit model" is where it learnt for the file."""
    aware = [
        name
        for name in TRAINING
        if name in run.stages and mapping(run.stages[name].manifest.get("settings")).get("qat_group") is not None
    ]
    if not aware:
        return None
    return tag(
        "p",
        f"The 16-bit model is the one that learnt with rounded layers ({' and '.join(STAGES[name] for name in aware)}: "
        "quantization-aware). Measured at 16 bits are its weights before rounding, not those of a model that was "
        "trained for 16 bits.",
    )


def _formats(run: Run) -> str:
    found = numbers(run.stages["model"].summary)
    told = []
    if "bits_per_weight" in found:
        told.append(f"{found['bits_per_weight']:.2f} bits a weight, scales and wider tensors included")
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
        ["Error bars reach two standard errors. ", _paired(found[1][0], *(value for _, value, _ in found))],
    )
    return [tag("h3", "Accuracy"), drawn]


def _cost(found: Sequence[tuple[str, Evaluation, str]]) -> list[Child]:
    """Where nothing was asked: what held-out text costs."""
    costs = [(name, value.lessons["bits_per_byte"], colour) for name, value, colour in found if _costed(value)]
    if len(costs) < 2:
        return []
    told = ", ".join(f"{name} {bits:.3f}" for name, bits, _ in costs)
    rows = [_bar(name, bits, f"{bits:.3f} bits a byte", colour) for name, bits, colour in costs]
    more = costs[1][1] - costs[0][1]
    drawn = _figure(
        rows,
        f"Bits per byte of held-out text: {told}.",
        f"On the same documents, rounding costs {more:+.4f} bits a byte; lower is better.",
    )
    return [tag("h3", "Prediction"), drawn]


def _costed(value: Evaluation) -> bool:
    return not value.tiers and "bits_per_byte" in value.lessons


def _paired(packed: str, before: Evaluation, after: Evaluation) -> str:
    """Question by question, which says more than two accuracies."""
    if not after.samples:
        return ""
    try:
        found = compare(after.samples, before.samples)
    except UserError:
        return ""
    return (
        f"Question by question: {found.only_second:,} that only the 16-bit model got right, {found.only_first:,} that "
        f"only the {packed} file did; the difference, file minus model, is "
        f"{100 * found.difference:+.1f} ± {100 * found.standard_error:.1f} points; "
        f"{percent(found.same_answers)} of the answers are the same to the letter."
    )


def _bar(label: str, value: float, shown: str, colour: str) -> Bar:
    return Bar(label=label, segments=[Segment(value=value, colour=colour)], note=shown)


def _figure(rows: Sequence[Bar], label: str, caption: str) -> Child:
    return figure(lambda width: bars(rows, width), label, caption)
