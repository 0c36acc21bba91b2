"""The pictures of a scorecard: benchmarks with whiskers, calibration, curves over length, differences, subsets.

Each is drawn for the width it is asked for, by the means of `report.svg`. Every horizontal axis is a part of one, shown
in percent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, Html, number, tag
from pocketphi.eval.report.svg import Drawing

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A score with its interval."""

    value: float
    low: float
    high: float
    colour: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A benchmark: a bar for ours, dots for what stands beside it."""

    label: str
    ours: Mark | None
    others: Sequence[Mark]
    published: Sequence[tuple[str, float, str]]
    """Shape (`circle`, `diamond`, `triangle`), value, hint."""
    chance: float | None


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A row of a picture of dots."""

    label: str
    value: float
    low: float
    high: float
    note: str
    colour: str = "f1"


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers given with about the same confidence."""

    confidence: float
    accuracy: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Scores over a limit of words, for one task."""

    title: str
    limits: Sequence[float]
    strict: Sequence[float]
    soft: Sequence[float]
    level: float
    """Without a limit."""


def ladder(rungs: Sequence[Rung], width: float) -> Drawing:
    """Bars with whiskers from 0 to 100 %, one benchmark below the other."""
    slim = width <= svg.NARROW
    notes = ["" if rung.ours is None else _percent(rung.ours.value) for rung in rungs]
    left = 0.0 if slim else min(max((svg.text_width(rung.label) for rung in rungs), default=0.0) + 14, width * 0.3)
    right = width - (8.0 if slim else 48.0)
    content: list[Child] = []
    rows: list[Child] = []
    y = 22.0
    for rung, note in zip(rungs, notes, strict=True):
        if slim:
            rows.append(svg.text(0, y + 12, svg.fitted(rung.label, width - 60)))
            rows.append(svg.text(right, y + 12, note, "value", "end"))
            y += 18
        else:
            rows.append(svg.text(left - 12, y + 14, svg.fitted(rung.label, left - 12), anchor="end"))
            rows.append(svg.text(width, y + 14, note, "value", "end"))
        rows += _rung(rung, left, right, y)
        tall = 24 + 10 * len(rung.others) + (4 if slim else 2)
        # On a phone lines stop where a label stands.
        content += [svg.rule(x, y, x, y + tall) for x in (_at(tick, left, right) for tick in QUARTERS)]
        y += tall
    for tick in QUARTERS:
        x = _at(tick, left, right)
        content += [_tick(x, 12, tick, left, right), _tick(x, y + 14, tick, left, right)]
    return Drawing(width, y + 20, [*content, *rows])


def _rung(rung: Rung, left: float, right: float, y: float) -> list[Child]:
    content: list[Child] = []
    bottom = y + 20 + 10 * len(rung.others)
    middle = y + 10
    if rung.ours is not None:
        content.append(svg.block(left, y + 3, _at(rung.ours.value, left, right) - left, 14, "f1 pale", rung.ours.hint))
    if rung.chance is not None:
        x = _at(rung.chance, left, right)
        guessing = tag("title", f"{rung.label}, guessing: {_percent(rung.chance)}")
        content.append(tag("line", guessing, x1=x, y1=y, x2=x, y2=bottom, class_="chance"))
    for shape, value, hint in rung.published:
        content.append(hollow(shape, _at(value, left, right), middle, hint))
    if rung.ours is not None:
        low, high = (_at(value, left, right) for value in (rung.ours.low, rung.ours.high))
        content.append(svg.whisker(low, middle, high, middle))
        told = tag("title", rung.ours.hint)
        content.append(tag("circle", told, cx=_at(rung.ours.value, left, right), cy=middle, r=4.4, class_="f1"))
    for row, mark in enumerate(rung.others):
        content += _point(mark, left, right, y + 25 + 10 * row)
    return content


def hollow(shape: str, x: float, y: float, hint: str) -> Html:
    """A mark of somebody else's."""
    title = tag("title", hint) if hint else None
    if shape == "circle":
        return tag("circle", title, cx=x, cy=y, r=4.6, class_="hollow")
    top = f"M{number(x)} {number(y - 6)}"
    d = f"{top}L{number(x + 6)} {number(y)}L{number(x)} {number(y + 6)}L{number(x - 6)} {number(y)}Z"
    if shape == "triangle":
        d = f"{top}L{number(x + 5.8)} {number(y + 4.6)}H{number(x - 5.8)}Z"
    return tag("path", title, d=d, class_="hollow")


def dots(rows: Sequence[Dot], width: float, reach: tuple[float, float] = (0.0, 1.0)) -> Drawing:
    """A dot with its interval in each row; a line at zero where `reach` goes below it."""
    slim = width <= svg.NARROW
    low, high = reach
    notes = max((svg.text_width(row.note) for row in rows), default=0.0) * svg.BOLD + 12
    left = 0.0 if slim else min(max((svg.text_width(row.label) for row in rows), default=0.0) + 18, width * 0.36)
    # An interval or a dot at the border needs room for half of itself.
    start, end = left + 6, (width - 6 if slim else width - min(notes, width * 0.3) - 6)
    content: list[Child] = []
    y = 20.0

    def across(value: float) -> float:
        return start + (end - start) * (min(max(value, low), high) - low) / ((high - low) or 1.0)

    ticks = QUARTERS if reach == (0.0, 1.0) else svg.nice_ticks(low, high, 3 if slim else 5)
    shown = {tick: points(tick, 3) if low < 0 else _percent(tick) for tick in ticks}
    content += [_tick_text(across(tick), 12, told, start, end) for tick, told in shown.items()]
    for row in rows:
        if slim:
            content.append(svg.text(0, y + 12, svg.fitted(row.label, max(width - notes, 60.0))))
            content.append(svg.text(width, y + 12, svg.fitted(row.note, width * 0.6), "value", "end"))
            y += 15
        else:
            content.append(svg.text(left - 10, y + 15, svg.fitted(row.label, left - 12), anchor="end"))
            content.append(svg.text(width, y + 15, svg.fitted(row.note, width * 0.3), "value", "end"))
        content += [svg.rule(across(tick), y, across(tick), y + 21) for tick in ticks]
        if low < 0:
            content.append(svg.rule(across(0.0), y, across(0.0), y + 21, "baseline"))
        hint = tag("title", f"{row.label}: {row.note}")
        line = svg.rule(across(row.low), y + 10.5, across(row.high), y + 10.5, f"reach {row.colour}")
        content += [line, tag("circle", hint, cx=across(row.value), cy=y + 10.5, r=4, class_=row.colour)]
        y += 21
    return Drawing(width, y + 4, content)


def reliability(title: str, subtitle: str, bins: Sequence[Bin], width: float) -> Drawing:
    """How often a model is right (up) where it is so sure (right); on the diagonal it is as right as it is sure."""
    left, right, top = 40.0, width - 8, 38.0
    side = right - left
    bottom = top + side
    content: list[Child] = [
        svg.text(0, 12, svg.fitted(title, width), "value"),
        svg.text(0, 27, svg.fitted(subtitle, width, 11), "tick"),
    ]
    for tick in (0.0, 0.5, 1.0):
        x, y = left + side * tick, bottom - side * tick
        content += [svg.rule(left, y, right, y), svg.rule(x, top, x, bottom)]
        content.append(svg.text(left - 5, y + 4, _percent(tick), "tick", "end"))
        content.append(_tick(x, bottom + 16, tick, left, right))
    content.append(svg.rule(left, bottom, right, top, "baseline"))
    for each in bins:
        x, y = left + side * each.confidence, bottom - side * each.accuracy
        told = f"{each.count:,} answers, {_percent(each.confidence)} sure, {_percent(each.accuracy)} right"
        content.append(svg.whisker(x, bottom - side * each.high, x, bottom - side * each.low))
        content.append(tag("circle", tag("title", told), cx=x, cy=y, r=4.2, class_="f1"))
    return Drawing(width, bottom + 22, content)


def over_length(curves: Curves, width: float) -> Drawing:
    """Right and short enough, over how long an answer may be."""
    left, right, top, bottom = 40.0, width - 8, 38.0, 152.0
    first, last = (math.log(max(value, 1.0)) for value in (curves.limits[0], curves.limits[-1]))
    high = max(curves.level, *curves.strict, *curves.soft, 0.05)
    ticks = [tick for tick in svg.nice_ticks(0.0, high * 1.1, 3) if tick <= 1.0]

    def across(limit: float) -> float:
        return left + 8 + (right - left - 16) * (math.log(max(limit, 1.0)) - first) / ((last - first) or 1.0)

    def up(value: float) -> float:
        return bottom - (bottom - top) * min(value / (high * 1.1), 1.0)

    content: list[Child] = [svg.text(0, 12, svg.fitted(curves.title, width), "value")]
    content.append(svg.text(0, 27, f"{_percent(curves.level)} without a limit", "tick"))
    for tick in ticks:
        content += [
            svg.rule(left, up(tick), right, up(tick)),
            svg.text(left - 5, up(tick) + 4, _percent(tick), "tick", "end"),
        ]
    for limit in curves.limits:
        content.append(svg.text(across(limit), bottom + 15, f"{limit:g}", "tick", "middle"))
    content.append(svg.rule(left, up(curves.level), right, up(curves.level), "baseline"))
    for measure, values, colour in (("SCA", curves.soft, "f3"), ("HCA", curves.strict, "f1")):
        points = [(across(limit), up(value)) for limit, value in zip(curves.limits, values, strict=True)]
        content.append(svg.trace(points, f"curve {colour}"))
        for (x, y), limit, value in zip(points, curves.limits, values, strict=True):
            hint = tag("title", f"{measure} at {limit:g} words: {_percent(value)}")
            content.append(tag("circle", hint, cx=x, cy=y, r=3.4, class_=colour))
    return Drawing(width, bottom + 22, content)


def mosaic(panels: Sequence[Callable[[float], Drawing]], width: float, columns: int) -> Drawing:
    """Small pictures side by side, in rows."""
    gap = 22.0
    each = (width - gap * (columns - 1)) / columns
    content: list[Child] = []
    y = 0.0
    for start in range(0, len(panels), columns):
        row = [draw(each) for draw in panels[start : start + columns]]
        for column, drawing in enumerate(row):
            place = f"translate({number(column * (each + gap))} {number(y)})"
            content.append(tag("g", drawing.content, transform=place))
        y += max(drawing.height for drawing in row) + 24
    return Drawing(width, max(y - 24, 1.0), content)


def _point(mark: Mark, left: float, right: float, y: float) -> list[Child]:
    low, high = (_at(value, left, right) for value in (mark.low, mark.high))
    dot = tag("circle", tag("title", mark.hint), cx=_at(mark.value, left, right), cy=y, r=3.8, class_=mark.colour)
    return [svg.rule(low, y, high, y, f"reach {mark.colour}"), dot]


def _at(value: float, left: float, right: float) -> float:
    return left + (right - left) * min(max(value, 0.0), 1.0)


def _tick(x: float, y: float, tick: float, left: float, right: float) -> Html:
    return _tick_text(x, y, _percent(tick), left, right)


def _tick_text(x: float, y: float, told: str, left: float, right: float) -> Html:
    half = svg.text_width(told, 11) / 2
    anchor = "start" if x - half < left else "end" if x + half > right else "middle"
    return svg.text(x, y, told, "tick", anchor)


def points(value: float, digits: int | None = None) -> str:
    """A difference of shares in points, signed: one decimal, or so many digits."""
    shown = f"{100 * value:+.1f}" if digits is None else f"{100 * value:+.{digits}g}"
    return "0" if not float(shown) else shown.replace("-", "−")


def _percent(value: float) -> str:
    """A score: one decimal, none where a whole number says it all."""
    shown = round(100 * value, 1)
    return f"{shown:.0f}\u00a0%" if shown == round(shown) else f"{shown:.1f}\u00a0%"
