"""How the model learnt: loss and learning rate over all stages."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import curves, figure, loss_axis, rate_axis
from pocketphi.eval.report.reading import STAGES, TRAINING, Run, numbers
from pocketphi.eval.report.svg import Axis, Band, Drawing, Line, frame, nice_ticks, panel, text
from pocketphi.eval.report.units import count, duration, percent

COLOUR: Mapping[str, str] = {"phase1": "1", "phase2": "2", "sft": "3", "dpo": "4", "model": "5"}
"""The colour of a stage, in every picture."""
SHORT: Mapping[str, str] = {"phase1": "phase 1", "phase2": "phase 2", "sft": "SFT", "dpo": "DPO"}
LAST_STEPS = 30
"""Steps whose mean tells where DPO ended: one batch of it is a handful of pairs."""


def curves_section(run: Run) -> Section | None:
    """The curves, with the stages marked."""
    found = [(name, run.metrics[name]) for name in TRAINING if run.metrics.get(name)]
    if not found:
        return None
    loss: list[Line] = []
    rate: list[Line] = []
    bands: list[Band] = []
    start = 0.0
    for name, rows in found:
        colour = f"f{COLOUR[name]}"
        end = start + rows[-1]["step"]
        bands.append(Band(name=SHORT[name], start=start, end=end, colour=f"b{COLOUR[name]}"))
        if name != "dpo":  # its loss is of pairs, not of tokens
            loss.append(Line(name=name, points=_points(rows, "loss", start), colour=colour))
        rate.append(Line(name=name, points=_points(rows, "learning_rate", start), colour=colour))
        start = end
    content: list[Child] = []
    values = [y for line in loss for _, y in line.points]
    rates = [[y for _, y in line.points] for line in rate]
    if values and any(rates):
        axes = (loss_axis(values), rate_axis(rates))
        content.append(
            figure(
                lambda width: curves(loss, rate, bands, (0.0, start), width, axes),
                f"Curves of loss and learning rate over {start:,.0f} steps. "
                + " ".join(_told(name, rows) for name, rows in found),
                [
                    "Each point is the mean of a few steps, the pale area their lowest and highest.",
                    " Preferences (DPO) have a loss of another kind: see below." if "dpo" in run.metrics else None,
                ],
            )
        )
    if run.metrics.get("dpo"):
        content += _preferences(run.metrics["dpo"])
    content.append(folded("The numbers", _table(found, run)))
    return Section(anchor="training", title="How it learnt", content=content)


def _preferences(rows: Sequence[Mapping[str, float]]) -> list[Child]:
    """The rewards of the better and the worse answers: both falling would be a warning."""
    chosen, rejected = _points(rows, "chosen_reward", 0.0), _points(rows, "rejected_reward", 0.0)
    if not chosen or not rejected:
        return []
    lines = [Line(name="better", points=chosen, colour="f2"), Line(name="worse", points=rejected, colour="f5")]
    values = [y for line in lines for _, y in line.points]
    low, high = min(*values, 0.0), max(*values, 0.0)
    ticks = nice_ticks(low, high)
    axis = Axis(title="reward, nats x beta", shown=lambda v: f"{v:.3g}", low=low, high=high or 1.0, ticks=ticks)
    of_last = [row["accuracy"] for row in rows if "accuracy" in row][-LAST_STEPS:]
    agreed = (
        f" The better answer has the higher reward in {percent(fmean(of_last))} of the pairs of the last "
        f"{len(of_last)} steps."
        if of_last
        else ""
    )

    def draw(width: float) -> Drawing:
        end = rows[-1]["step"]
        content = panel(lines, axis, [], (0.0, end), width, 170.0)
        left, right, _, bottom = frame(width, 170.0)
        content.append(text(left, bottom + 18, "first step", "tick"))
        content.append(text(right, bottom + 18, f"step {end:,.0f}", "tick", "end"))
        return Drawing(width, 190.0, content)

    told = f"Rewards in DPO end at {chosen[-1][1]:.3g} for better and {rejected[-1][1]:.3g} for worse answers.{agreed}"
    caption = [
        tag("span", "Better answers", class_="key f2"),
        " should rise above ",
        tag("span", "worse ones", class_="key f5"),
        f".{agreed}",
    ]
    return [tag("h3", "Preferences"), figure(draw, told, caption)]


def _points(rows: Sequence[Mapping[str, float]], key: str, start: float) -> list[tuple[float, float]]:
    return [(start + row["step"], row[key]) for row in rows if key in row]


def _told(name: str, rows: Sequence[Mapping[str, float]]) -> str:
    losses = [row["loss"] for row in rows if "loss" in row]
    if not losses:
        return ""
    return f"{STAGES[name]}: from {losses[0]:.3g} to {losses[-1]:.3g} in {rows[-1]['step']:,.0f} steps."


def _table(found: Sequence[tuple[str, Sequence[Mapping[str, float]]]], run: Run) -> Child:
    rows: list[list[Child]] = []
    for name, lines in found:
        first, last = lines[0], lines[-1]
        measured = numbers(run.stages[name].manifest.get("measured"))
        speed = measured.get("tokens_per_second")
        rows.append(
            [
                STAGES[name],
                f"{last['step']:,.0f}",
                count(last.get("tokens", 0)),
                f"{first.get('loss', 0):.3f}",
                f"{last.get('loss', 0):.3f}",
                f"{max((line.get('learning_rate', 0) for line in lines), default=0):.1e}",
                duration(measured.get("train_seconds", measured.get("seconds", 0))),
                "" if speed is None else f"{count(speed)}/s",
            ]
        )
    heads = ["stage", "steps", "tokens", "first loss", "last loss", "highest rate", "time", "tokens"]
    return table(heads, rows, "Training, stage by stage", range(1, len(heads)))
