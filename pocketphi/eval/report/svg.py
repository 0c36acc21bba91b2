"""Small pictures in SVG: bars, curves and points with error bars.

Why not matplotlib: its colours and fonts are fixed when a picture is drawn, and these follow the reader's
light or dark mode, font and paper through the page's style sheet (elements carry classes, never colours);
they are drawn once for a wide and once for a narrow screen, so that text stays readable on a phone; a mark
tells its value under the pointer; and writing a report needs nothing that is not in Python.

Every function returns a `Drawing` for the width asked for. Text is measured by a table of rough widths, with
room to spare, because fonts differ.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from unicodedata import east_asian_width

from pocketphi.eval.report.markup import Child, Html, number, tag

FONT_SIZE = 12.0
BOLD = 1.08
"""How much wider bold text is."""
ROW = 26.0
NARROW = 480.0
"""Pictures of at most this width are for phones: labels stand above their bars."""


@dataclass(frozen=True)
class Drawing:
    """What stands inside an `<svg>` of this size."""

    width: float
    height: float
    content: Sequence[Child]

    def svg(self, label: str, class_: str) -> Html:
        """The element. `label` is what a screen reader says instead."""
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return tag("svg", self.content, class_=class_, viewBox=box, role="img", aria_label=label)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A piece of a bar."""

    value: float
    colour: str
    """A class of the style sheet, such as `f1`."""
    hint: str = ""
    """Shown under the pointer."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A row of a bar picture."""

    label: str
    segments: Sequence[Segment]
    note: str
    """Stands behind the bar: its value, in words."""
    error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve, or points with error bars."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    low: Sequence[float] = ()
    """With `high`: the spread around each point."""
    high: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Band:
    """A marked stretch of the horizontal axis."""

    name: str
    start: float
    end: float
    colour: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The vertical axis of a panel."""

    title: str
    shown: Callable[[float], str]
    low: float
    high: float
    logarithmic: bool = False
    ticks: Sequence[float] = field(default=())

    def place(self, value: float, top: float, bottom: float) -> float:
        """Where a value stands between `bottom` and `top`."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return bottom - (bottom - top) * (at - low) / ((high - low) or 1.0)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """About how wide a text is, rather too much than too little."""
    return size * sum(1.0 if east_asian_width(char) in "WF" else 0.57 for char in text)


def fitted(text: str, width: float, size: float = FONT_SIZE) -> str:
    """The text, cut with an ellipsis where it would be wider than `width`."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def text(x: float, y: float, content: str, class_: str = "label", anchor: str = "start") -> Html:
    """A line of text whose baseline starts, centres or ends (`anchor`) at (x, y)."""
    return tag("text", content, x=x, y=y, class_=class_, text_anchor=None if anchor == "start" else anchor)


def rule(x1: float, y1: float, x2: float, y2: float, class_: str = "grid") -> Html:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def block(x: float, y: float, width: float, height: float, class_: str, hint: str = "", radius: float = 2) -> Html:
    """A rectangle."""
    title = tag("title", hint) if hint else None
    return tag("rect", title, x=x, y=y, width=max(width, 0.5), height=height, rx=radius or None, class_=class_)


def trace(points: Iterable[tuple[float, float]], class_: str) -> Html:
    """A line through points."""
    return tag("polyline", points=" ".join(f"{number(x)},{number(y)}" for x, y in points), class_=class_)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / count))
    step = next(s for s in (step, 2 * step, 2.5 * step, 5 * step, 10 * step) if span / s <= count)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`, with 2 and 5 times them if there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        ticks = [f * 10.0**p for p in powers for f in factors if low * 0.999 <= f * 10.0**p <= high * 1.001]
        if len(ticks) >= 3:
            return ticks
    return ticks


def bars(rows: Sequence[Bar], width: float, *, longest: float | None = None, gap_after: Sequence[int] = ()) -> Drawing:
    """Horizontal bars, one row each; on a narrow screen a label stands above its bar.

    Args:
        longest: the value that fills the width; the longest bar by default.
        gap_after: rows behind which some room is left.
    """
    stacked = width <= NARROW
    longest = longest or max((sum(s.value for s in row.segments) + row.error for row in rows), default=1.0) or 1.0
    left = 0.0 if stacked else min(max((text_width(row.label) for row in rows), default=0.0) + 12, width * 0.36)
    right = min(max((text_width(row.note) for row in rows), default=0.0) * BOLD + 10, width * 0.5)
    room = width - left - right
    content: list[Child] = []
    y = 0.0
    for index, row in enumerate(rows):
        if stacked:
            content.append(text(0, y + 13, fitted(row.label, width)))
            y += 17
        else:
            content.append(text(left - 10, y + 16, fitted(row.label, left - 10), anchor="end"))
        x = left
        for segment in row.segments:
            wide = room * segment.value / longest
            content.append(block(x, y + 4, wide, 16, segment.colour, segment.hint or f"{row.label}: {row.note}"))
            x += wide
        end = x
        if row.error:
            reach = room * row.error / longest
            content.append(whisker(x - reach, y + 12, x + reach, y + 12))
            end += reach
        content.append(text(end + 7, y + 16, row.note, "value"))
        y += ROW + (4 if stacked else 0) + (12 if index in gap_after else 0)
    return Drawing(width, y, content)


def whisker(x1: float, y1: float, x2: float, y2: float) -> Html:
    """An error bar with its two caps, upright or level."""
    across = 3.5
    if x1 == x2:
        caps = f"M{number(x1 - across)} {number(y1)}h{across * 2}M{number(x2 - across)} {number(y2)}h{across * 2}"
    else:
        caps = f"M{number(x1)} {number(y1 - across)}v{across * 2}M{number(x2)} {number(y2 - across)}v{across * 2}"
    return tag("path", d=f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}{caps}", class_="error")


def thinned(line: Line, most: int) -> Line:
    """At most `most` points, each the mean of its neighbours, with their lowest and highest as the spread."""
    if len(line.points) <= most:
        return line
    edges = [round(i * len(line.points) / most) for i in range(most + 1)]
    groups = [line.points[start:end] for start, end in pairwise(edges)]
    return Line(
        name=line.name,
        points=[(_mean(x for x, _ in group), _mean(y for _, y in group)) for group in groups],
        colour=line.colour,
        low=[min(y for _, y in group) for group in groups],
        high=[max(y for _, y in group) for group in groups],
    )


def panel(
    lines: Sequence[Line], axis: Axis, bands: Sequence[Band], x_range: tuple[float, float], width: float, height: float
) -> list[Child]:
    """Curves over a shared horizontal axis whose stretches are marked by `bands`; the caller writes its ticks."""
    left, right, top, bottom = frame(width, height)
    start, end = x_range

    def across(x: float) -> float:
        return left + (right - left) * (x - start) / ((end - start) or 1.0)

    content: list[Child] = [text(left, 12, axis.title, "axis")]
    for band in bands:
        content.append(block(across(band.start), top, across(band.end) - across(band.start), bottom - top, band.colour))
        name = fitted(band.name, across(band.end) - across(band.start) - 8)
        if len(name) > 2:
            content.append(text(across(band.start) + 5, top + 14, name, "value"))
    for tick in axis.ticks:
        y = axis.place(tick, top, bottom)
        content += [rule(left, y, right, y), text(left - 6, y + 4, axis.shown(tick), "tick", "end")]
    for line in lines:
        if not line.points:
            continue
        shown = thinned(line, max(int((across(line.points[-1][0]) - across(line.points[0][0])) / 4), 12))
        if shown.low:
            upper = [
                (across(x), axis.place(y, top, bottom)) for (x, _), y in zip(shown.points, shown.high, strict=True)
            ]
            lower = [(across(x), axis.place(y, top, bottom)) for (x, _), y in zip(shown.points, shown.low, strict=True)]
            corners = " ".join(f"{number(x)},{number(y)}" for x, y in [*upper, *reversed(lower)])
            content.append(tag("polygon", points=corners, class_=f"spread {line.colour}"))
        content.append(
            trace(((across(x), axis.place(y, top, bottom)) for x, y in shown.points), f"curve {line.colour}")
        )
    return content


def frame(width: float, height: float) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the field of a `panel`."""
    return (46.0 if width <= NARROW else 54.0), width - 6.0, 22.0, height - 8.0


def _mean(values: Iterable[float]) -> float:
    together = list(values)
    return sum(together) / len(together)
