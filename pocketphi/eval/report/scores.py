"""Pictures of scores: accuracy stage by stage, and topic by topic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, number, tag
from pocketphi.eval.report.reading import Score
from pocketphi.eval.report.svg import Axis, Drawing
from pocketphi.eval.report.units import percent

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A stage in a picture of scores."""

    name: str
    colour: str


Scores = Sequence[Score | None]
"""One for each column."""


def said(score: Score) -> str:
    """A score in words."""
    return f"{100 * score.accuracy:.1f} % ± {100 * score.standard_error:.1f} of {score.count:,} questions"


def stages(
    columns: Sequence[Column], tiers: Mapping[str, Scores], baselines: Mapping[str, Mapping[str, Score]], width: float
) -> Drawing:
    """Accuracy after every stage, one panel a tier, with two standard errors.

    Args:
        tiers: title of a panel -> a score for each column.
        baselines: name -> title of a panel -> score; a dashed line each.
    """
    slim = width <= svg.NARROW
    each, tall = (width, 250.0) if slim else ((width - 24) / max(len(tiers), 1), 270.0)
    height = tall + (16.0 * len(baselines) + 14 if baselines else 0)
    left, right, top, bottom = 44.0, each - 4, 26.0, tall - 42
    axis = Axis(title="", shown=percent, low=0.0, high=1.0)
    content: list[Child] = []
    for index, (title, scores) in enumerate(tiers.items()):
        inside: list[Child] = [svg.text(left, 13, title, "axis")]
        for tick in QUARTERS:
            y = axis.place(tick, top, bottom)
            inside += [svg.rule(left, y, right, y), svg.text(left - 6, y + 4, percent(tick), "tick", "end")]
        levels = sorted(((of[title].accuracy, name) for name, of in baselines.items() if title in of), reverse=True)
        lines = [axis.place(accuracy, top, bottom) for accuracy, _ in levels]
        for row, (y, (accuracy, name)) in enumerate(zip(lines, levels, strict=True)):
            # Named below the panel, highest first: baselines lie close together, and dots beside them.
            named = bottom + 48 + 16 * row
            inside.append(svg.rule(left, y, right, y, "baseline"))
            inside.append(svg.rule(left, named - 4, left + 24, named - 4, "baseline"))
            inside.append(svg.text(left + 31, named, f"{name}: {percent(accuracy)}", "tick"))
        apart = (right - left) / max(len(columns), 1)
        dots = [
            (left + apart * (i + 0.5), axis.place(score.accuracy, top, bottom), score, columns[i])
            for i, score in enumerate(scores)
            if score is not None
        ]
        inside.append(svg.trace([(x, y) for x, y, _, _ in dots], "path"))
        for x, y, score, column in dots:
            reach = 2 * score.standard_error
            upper, lower = (axis.place(score.accuracy + sign * reach, top, bottom) for sign in (1, -1))
            hint = tag("title", f"{column.name}: {said(score)}")
            inside.append(svg.whisker(x, upper, x, lower))
            inside.append(tag("circle", hint, cx=x, cy=y, r=5, class_=column.colour))
            free = y < bottom - 20 and not any(y + 2 < line < y + 18 for line in lines)
            inside.append(svg.text(x + 8, y + 15 if free else y - 8, percent(score.accuracy), "value"))
        for i, column in enumerate(columns):
            for row, part in enumerate(_wrapped(column.name, apart)):
                inside.append(svg.text(left + apart * (i + 0.5), bottom + 17 + 13 * row, part, "tick", "middle"))
        shift = (0.0, index * height) if slim else (index * (each + 24), 0.0)
        content.append(tag("g", inside, transform=f"translate({number(shift[0])} {number(shift[1])})"))
    return Drawing(width, height * (len(tiers) if slim else 1) - 16, content)


def topics(columns: Sequence[Column], tiers: Mapping[str, Mapping[str, Scores]], width: float) -> Drawing:
    """One row a topic, one dot a stage from the first above to the last below, with one standard error each.

    Args:
        tiers: title of a panel -> topic -> a score for each column. The first panel gives the order of topics.
    """
    slim = width <= svg.NARROW
    rows = list(dict.fromkeys(topic for panel in tiers.values() for topic in panel))
    left = 0.0 if slim else min(max((svg.text_width(row) for row in rows), default=0.0) + 14, width * 0.25)
    each = width if slim else (width - left - 24 * (len(tiers) - 1)) / max(len(tiers), 1)
    pitch = 7.0
    tall = pitch * len(columns) + (24 if slim else 9)
    content: list[Child] = []
    y = _key(columns, width, left, content)
    for index, (title, panel) in enumerate(tiers.items()):
        start = 0.0 if slim else left + index * (each + 24)
        if slim and index:
            y += 62 + tall * len(rows)
        top = y + 28
        content += [svg.text(start + 6, y + 14, title, "axis")]
        for tick in QUARTERS:
            x = start + 6 + (each - 12) * tick
            content.append(svg.rule(x, top, x, top + tall * len(rows)))
            anchor = {0.0: "start", 1.0: "end"}.get(tick, "middle")
            content.append(svg.text(x, top + tall * len(rows) + 14, percent(tick), "tick", anchor))
        for place, row in enumerate(rows):
            at = top + tall * place
            content.append(svg.rule(start, at, start + each, at))
            if slim:
                content.append(svg.text(start + 6, at + 14, row))
            elif not index:
                content.append(svg.text(left - 10, at + tall / 2 + 4, svg.fitted(row, left - 10), anchor="end"))
            first = at + (15 if slim else 1) + pitch * 0.8
            for line, (column, score) in enumerate(zip(columns, panel.get(row, [None] * len(columns)), strict=True)):
                if score is not None:
                    content += _dot(row, column, score, start + 6, each - 12, first + pitch * line)
    return Drawing(width, y + 28 + tall * len(rows) + 20, content)


def _dot(topic: str, column: Column, score: Score, left: float, room: float, y: float) -> list[Child]:
    x, reach = left + room * score.accuracy, room * score.standard_error
    low, high = max(x - reach, left), min(x + reach, left + room)
    hint = tag("title", f"{topic}, {column.name}: {said(score)}")
    return [
        svg.rule(low, y, high, y, f"reach {column.colour}"),
        tag("circle", hint, cx=x, cy=y, r=3.6, class_=column.colour),
    ]


def _key(columns: Sequence[Column], width: float, left: float, content: list[Child]) -> float:
    """Write what the colours mean; the height it took."""
    x, y = left + 6, 12.0
    for column in columns:
        wide = svg.text_width(column.name) + 30
        if x + wide > width and x > left + 6:
            x, y = left + 6, y + 18
        content += [
            tag("circle", cx=x + 4, cy=y - 4, r=4, class_=column.colour),
            svg.text(x + 13, y, column.name, "tick"),
        ]
        x += wide
    return y + 8


def _wrapped(name: str, room: float) -> list[str]:
    """A name in at most two lines."""
    words = name.split()
    if svg.text_width(name, 11) <= room or len(words) < 2:
        return [svg.fitted(name, room, 11)]
    cut = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(" ".join(words[i:]))))
    return [svg.fitted(" ".join(part), room, 11) for part in (words[:cut], words[cut:])]
