"""The pictures of a report, each drawn for the width it is asked for.

`figure` puts one on the page twice, for wide and for narrow screens; the style sheet shows one of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, Html, number, tag
from pocketphi.eval.report.svg import Axis, Band, Drawing, Line
from pocketphi.eval.report.units import percent

WIDE, SLIM = 820.0, 360.0


def figure(draw: Callable[[float], Drawing], label: str, caption: Child) -> Html:
    """A picture with what a screen reader says instead of it, and what stands below it."""
    return tag("figure", draw(WIDE).svg(label, "wide"), draw(SLIM).svg(label, "slim"), tag("figcaption", caption))


def standalone(drawing: Drawing, label: str) -> str:
    """A picture as a file of its own, in the reader's light or dark mode."""
    style = Path(__file__).with_name("pictures.css").read_text(encoding="utf-8")
    margin = 16.0
    width, height = drawing.width + 2 * margin, drawing.height + 2 * margin
    font = "text { font-family: system-ui, sans-serif; } .paper { fill: var(--paper); }"
    return tag(
        "svg",
        tag("style", Html(style + font)),
        svg.block(0, 0, width, height, "paper", radius=0),
        tag("g", drawing.content, transform=f"translate({margin} {margin})"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


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
    trunk = width * (0.3 if width <= svg.NARROW else 0.4)
    scale = trunk / max(total, 1)
    ribbons = trunk + 26
    notes = [f"{drop.count:,} · {percent(drop.count / max(total, 1))}" for drop in drops]
    of_notes = max((svg.text_width(note) for note in notes), default=0.0)
    of_labels = max((svg.text_width(drop.label) for drop in drops), default=0.0)
    stacked = ribbons + 24 + of_labels + of_notes > width
    labels = [svg.fitted(drop.label, width - ribbons - 8) for drop in drops] if stacked else [d.label for d in drops]
    column = min(ribbons + 24 + of_labels + of_notes, width)
    content: list[Child] = [svg.text(0, 13, f"{total:,} raw pages", "value")]
    y, left_over = 22.0, float(total)
    steps = [f"M0 {number(y)}H{number(trunk)}"]
    y += 14
    for drop, note, label in zip(drops, notes, labels, strict=True):
        thick = max(drop.count * scale, 1.0)
        x, turn = left_over * scale, y + 9
        left_over -= drop.count
        d = (
            f"M{number(x)} {number(y)}Q{number(x)} {number(turn)} {number(ribbons)} {number(turn)}v{number(thick)}"
            f"Q{number(x - thick)} {number(turn + thick)} {number(x - thick)} {number(y)}Z"
        )
        content.append(tag("path", tag("title", f"{drop.label}: {note}"), d=d, class_="drop"))
        steps.append(f"V{number(y)}H{number(left_over * scale)}")
        at = turn + thick / 2 + 4
        if stacked:  # too narrow for one line: the number stands below its name
            content += [svg.text(ribbons + 8, at - 7, label), svg.text(ribbons + 8, at + 8, note, "value")]
        else:
            content += [svg.text(ribbons + 8, at, label), svg.text(column, at, note, "value", "end")]
        y += max(thick + 12, thick / 2 + (36.0 if stacked else 25.0))
    content.append(
        tag("path", tag("title", f"{left_over:,.0f} kept"), d=f"{''.join(steps)}V{number(y)}H0Z", class_="trunk")
    )
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
    unnamed = [replace(band, name="") for band in bands]
    below = svg.panel(rate, axes[1], unnamed, x_range, width, heights[1])
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


def rate_axis(stages: Sequence[Sequence[float]]) -> Axis:
    """A logarithmic axis that shows the learning rates of every stage, each down to a thirtieth of its highest.

    Rates of stages are decades apart; what is far below those of its own stage is where it starts or ends at zero.
    """
    positive = [found for rates in stages if (found := [rate for rate in rates if rate > 0])] or [[1e-4]]
    high = max(map(max, positive)) * 1.6
    low = min(max(min(rates), max(rates) / 30) for rates in positive) * 0.7
    ticks = svg.log_ticks(low, high)
    return Axis(
        title="learning rate",
        shown=lambda v: f"{v:.0e}".replace("e-0", "e-"),
        low=low,
        high=high,
        logarithmic=True,
        ticks=ticks,
    )


@dataclass(frozen=True, kw_only=True)
class Node:
    """An artifact in a picture of its ancestry."""

    name: str
    digest: str
    colour: str
    parents: Sequence[int]
    """Rows of what it was made from, which stand above."""


def lineage(nodes: Sequence[Node], width: float) -> Drawing:
    """What came from what: rows in order, with an arc from every parent to its child."""
    apart = 30.0
    longest = max((row - parent for row, node in enumerate(nodes) for parent in node.parents), default=1)
    left = min(26.0 + 30.0 * math.sqrt(longest), width * 0.28)
    content: list[Child] = []
    for row, node in enumerate(nodes):
        for parent in node.parents:
            start, end = 16 + parent * apart, 16 + row * apart
            reach = left - 8 - (left - 12) * math.sqrt((row - parent) / longest)
            bend = f"C{number(reach)} {number(start)} {number(reach)} {number(end)} {number(left)} {number(end)}"
            hint = tag("title", f"{nodes[parent].name} → {node.name}")
            content.append(tag("path", hint, d=f"M{number(left)} {number(start)}{bend}", class_="arc"))
    digests = left + 26 + max((svg.text_width(node.name) for node in nodes), default=0.0)
    made = digests + 20 + max((svg.text_width(node.digest, 11) for node in nodes), default=0.0) * 1.15
    for row, node in enumerate(nodes):
        y = 16 + row * apart
        content.append(tag("circle", cx=left, cy=y, r=5.5, class_=node.colour))
        content.append(svg.text(left + 14, y + 4, node.name))
        content.append(svg.text(digests, y + 4, node.digest, "digest"))
        if node.parents and width > svg.NARROW:
            told = f"made from {', '.join(nodes[parent].name for parent in node.parents)}"
            content.append(svg.text(made, y + 4, svg.fitted(told, width - made), "tick"))
    return Drawing(width, apart * len(nodes) + 6, content)
