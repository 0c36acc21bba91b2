"""The pictures of a report, each drawn for the width it is asked for.

`figure` puts one on the page twice, for wide and for narrow screens; the style sheet shows one of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, Html, number, tag
from pocketphi.eval.report.reading import Score
from pocketphi.eval.report.svg import Axis, Band, Drawing, Line
from pocketphi.eval.report.units import percent

WIDE, SLIM = 820.0, 360.0


def figure(draw: Callable[[float], Drawing], label: str, caption: Child) -> Html:
    """A picture with what a screen reader says instead of it, and what stands below it."""
    return tag("figure", draw(WIDE).svg(label, "wide"), draw(SLIM).svg(label, "slim"), tag("figcaption", caption))


@dataclass(frozen=True, kw_only=True)
class Drop:
    """What left the stream of pages for one reason."""

    label: str
    count: int


def funnel(total: int, drops: Sequence[Drop], kept: Sequence[tuple[str, int, str]], width: float) -> Drawing:
    """A stream of pages that narrows: what is dropped turns off to the right, what is kept reaches the end.

    Args:
        kept: name, count and colour of the parts at the end, from left to right.
    """
    trunk = width * 0.3
    scale = trunk / max(total, 1)
    ribbons = trunk + 26
    content: list[Child] = [svg.text(0, 13, f"{total:,} raw pages", "value")]
    y, left_over = 22.0, float(total)
    content.append(svg.block(0, y, trunk, 14, "f1", f"{total:,} raw pages", radius=0))
    y += 14
    for drop in drops:
        thick = max(drop.count * scale, 1.0)
        x, turn = left_over * scale, y + 9
        left_over -= drop.count
        height = max(thick + 12, 27.0)
        d = (
            f"M{number(x)} {number(y)}Q{number(x)} {number(turn)} {number(ribbons)} {number(turn)}v{number(thick)}"
            f"Q{number(x - thick)} {number(turn + thick)} {number(x - thick)} {number(y)}Z"
        )
        note = f"{drop.count:,} · {percent(drop.count / max(total, 1))}"
        content.append(tag("path", tag("title", f"{drop.label}: {note}"), d=d, class_="drop"))
        content.append(svg.block(0, y, left_over * scale, height, "f1", f"{left_over:,.0f} left", radius=0))
        room = width - ribbons - 10 - svg.text_width(note) - 8
        label = svg.fitted(drop.label, room)
        at = turn + thick / 2 + 4
        content.append(svg.text(ribbons + 8, at, label))
        content.append(svg.text(width, at, note, "value", "end"))
        y += height
    x = 0.0
    for name, count, colour in kept:
        content.append(svg.block(x, y, count * scale, 18, colour, f"{name}: {count:,}", radius=0))
        x += count * scale
    for index, (name, count, colour) in enumerate(kept):
        line = y + 38 + 19 * index
        content.append(svg.block(0, line - 10, 11, 11, colour))
        content.append(svg.text(17, line, f"{name}: {count:,} · {percent(count / max(total, 1))}", "value"))
    return Drawing(width, y + 28 + 19 * len(kept), content)


def curves(
    loss: Sequence[Line],
    rate: Sequence[Line],
    bands: Sequence[Band],
    x_range: tuple[float, float],
    width: float,
    axes: tuple[Axis, Axis],
) -> Drawing:
    """Loss above, learning rate below, over the same steps."""
    heights = (260.0, 150.0)
    left, right, _, _ = svg.frame(width, heights[0])
    content = svg.panel(loss, axes[0], bands, x_range, width, heights[0])
    below = svg.panel(rate, axes[1], bands, x_range, width, heights[1])
    content.append(tag("g", below, transform=f"translate(0 {number(heights[0] + 14)})"))
    y = heights[0] + heights[1] + 20
    for tick in svg.nice_ticks(*x_range, 4 if width <= svg.NARROW else 8):
        x = left + (right - left) * (tick - x_range[0]) / ((x_range[1] - x_range[0]) or 1.0)
        content.append(svg.text(x, y, f"{tick:,.0f}", "tick", "end" if x > right - 12 else "middle"))
    content.append(svg.text((left + right) / 2, y + 18, "optimizer steps, all stages", "axis", "middle"))
    return Drawing(width, y + 26, content)


def loss_axis(values: Sequence[float]) -> Axis:
    """A vertical axis that shows these losses and nothing far above them."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or 0.5
    ticks = svg.nice_ticks(max(low - margin, 0.0), high + margin)
    low, high = min(low - margin, *ticks), max(high + margin, *ticks)
    return Axis(title="loss, nats per token", shown=lambda v: f"{v:.3g}", low=low, high=high, ticks=ticks)


def rate_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis from a hundredth of the highest learning rate; warm-ups start below it."""
    positive = [value for value in values if value > 0] or [1e-4]
    high = max(positive) * 1.6
    low = max(min(positive) * 0.7, high / 500)
    ticks = svg.log_ticks(low, high)
    return Axis(
        title="learning rate",
        shown=lambda v: f"{v:.0e}".replace("e-0", "e-"),
        low=low,
        high=high,
        logarithmic=True,
        ticks=ticks,
    )


def steps(
    columns: Sequence[str],
    scores: Mapping[str, Sequence[Score | None]],
    baselines: Mapping[str, Mapping[str, Score]],
    colours: Sequence[str],
    width: float,
    titles: Mapping[str, str],
) -> Drawing:
    """Accuracy after every stage, one panel a tier, with two standard errors and the baselines as dashed lines."""
    slim = width <= svg.NARROW
    each = width if slim else (width - 24) / max(len(scores), 1)
    content: list[Child] = []
    height = 250.0
    for index, (tier, values) in enumerate(scores.items()):
        left, right, top, bottom = 40.0, each - 4, 26.0, height - 42
        axis = Axis(title="", shown=percent, low=0.0, high=1.0)
        inside: list[Child] = [svg.text(left, 13, titles.get(tier, tier), "axis")]
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = axis.place(tick, top, bottom)
            inside += [svg.rule(left, y, right, y), svg.text(left - 6, y + 4, f"{100 * tick:.0f} %", "tick", "end")]
        place = left + (right - left) / max(len(values), 1) / 2
        apart = (right - left) / max(len(values), 1)
        for name, tiers in baselines.items():
            if tier in tiers:
                y = axis.place(tiers[tier].accuracy, top, bottom)
                inside.append(svg.rule(left, y, right, y, "baseline"))
                inside.append(svg.text(right, y - 4, f"{name}: {percent(tiers[tier].accuracy)}", "tick", "end"))
        at = [
            (place + apart * i, axis.place(score.accuracy, top, bottom))
            for i, score in enumerate(values)
            if score is not None
        ]
        inside.append(svg.trace(at, "path"))
        for i, score in enumerate(values):
            x = place + apart * i
            for row, part in enumerate(wrapped(columns[i], apart)):
                inside.append(svg.text(x, bottom + 16 + 13 * row, part, "tick", "middle"))
            if score is not None:
                inside += point(x, score, axis, top, bottom, colours[i], columns[i])
        shift = f"translate(0 {number(index * height)})" if slim else f"translate({number(index * (each + 24))} 0)"
        content.append(tag("g", inside, transform=shift))
    return Drawing(width, height * (len(scores) if slim else 1), content)


def point(x: float, score: Score, axis: Axis, top: float, bottom: float, colour: str, name: str) -> list[Child]:
    """A dot with its error bar and its value."""
    y = axis.place(score.accuracy, top, bottom)
    reach = 2 * score.standard_error
    ends = (axis.place(score.accuracy + reach, top, bottom), axis.place(score.accuracy - reach, top, bottom))
    hint = f"{name}: {said(score)}"
    return [
        svg.whisker(x, ends[0], x, ends[1]),
        tag("circle", tag("title", hint), cx=x, cy=y, r=5, class_=colour),
        svg.text(x + 9, y - 6, percent(score.accuracy), "value"),
    ]


def said(score: Score) -> str:
    """A score in words."""
    return f"{100 * score.accuracy:.1f} % ± {100 * score.standard_error:.1f} of {score.count:,} questions"


def wrapped(name: str, room: float) -> list[str]:
    """A name in at most two lines."""
    words = name.split()
    if svg.text_width(name, 11) <= room or len(words) < 2:
        return [svg.fitted(name, room, 11)]
    cut = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(" ".join(words[i:]))))
    return [svg.fitted(" ".join(part), room, 11) for part in (words[:cut], words[cut:])]


def topics(columns: Sequence[tuple[str, str]], scores: Mapping[str, Sequence[Score | None]], width: float) -> Drawing:
    """One row a topic, one dot a stage, from the first above to the last below, with one standard error each."""
    slim = width <= svg.NARROW
    left = 0.0 if slim else min(max((svg.text_width(row) for row in scores), default=0.0) + 16, width * 0.3)
    right = width - 12
    content: list[Child] = []
    room = right - left - 8
    y = 0.0
    x, y = left + 4, 12.0
    for name, colour in columns:
        wide = svg.text_width(name) + 30
        if x + wide > width and x > left + 4:
            x, y = left + 4, y + 18
        content += [tag("circle", cx=x + 5, cy=y - 4, r=4, class_=colour), svg.text(x + 14, y, name, "tick")]
        x += wide
    y += 26
    top = y
    lines: list[Child] = []
    for row, dots in scores.items():
        if slim:
            lines.append(svg.text(0, y + 4, row))
            y += 10
        middle = y + 4 * len(columns)
        if not slim:
            lines.append(svg.text(left - 12, middle + 3, svg.fitted(row, left - 12), anchor="end"))
        lines.append(svg.rule(left, y - 4, right, y - 4))
        for index, (name, colour) in enumerate(columns):
            score = dots[index]
            if score is None:
                continue
            at, reach = left + 4 + room * score.accuracy, room * score.standard_error
            line = y + 4 + 8 * index
            lines.append(svg.whisker(max(at - reach, left), line, min(at + reach, right), line))
            lines.append(
                tag("circle", tag("title", f"{row}, {name}: {said(score)}"), cx=at, cy=line, r=4, class_=colour)
            )
        y += 8 * len(columns) + (16 if slim else 8)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = left + 4 + room * tick
        content.append(svg.rule(at, top - 8, at, y - 4))
        content.append(
            svg.text(
                at,
                y + 10,
                f"{100 * tick:.0f} %",
                "tick",
                "middle" if 0 < tick < 1 else ("start" if tick == 0 else "end"),
            )
        )
    return Drawing(width, y + 18, [*content, *lines])


def lineage(nodes: Sequence[tuple[str, str, Sequence[int]]], width: float) -> Drawing:
    """What came from what: rows in order, with an arc from every parent to its child.

    Args:
        nodes: name, digest and the rows of the parents, which stand above.
    """
    apart = 30.0
    longest = max((row - parent for row, (_, _, parents) in enumerate(nodes) for parent in parents), default=1)
    left = min(26.0 + 15.0 * math.sqrt(longest) * 2, width * 0.28)
    content: list[Child] = []
    for row, (_, _, parents) in enumerate(nodes):
        for parent in parents:
            start, end = 16 + parent * apart, 16 + row * apart
            reach = left - 8 - (left - 12) * math.sqrt((row - parent) / longest)
            bend = f"C{number(reach)} {number(start)} {number(reach)} {number(end)} {number(left)} {number(end)}"
            d = f"M{number(left)} {number(start)}{bend}"
            hint = tag("title", f"{nodes[parent][0]} → {nodes[row][0]}")
            content.append(tag("path", hint, d=d, class_="arc"))
    names = max((svg.text_width(name) for name, _, _ in nodes), default=0.0)
    for row, (name, digest, _) in enumerate(nodes):
        y = 16 + row * apart
        content.append(tag("circle", cx=left, cy=y, r=5, class_="f1"))
        content.append(svg.text(left + 14, y + 4, name))
        content.append(svg.text(left + 26 + names, y + 4, digest, "digest"))
    return Drawing(width, apart * len(nodes) + 6, content)
