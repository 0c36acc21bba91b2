"""The report's pictures: drawn from any figures, readable in light and dark, wide and slim."""

import html
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.made_run import HOSTILE
from eval.page import Page
from pocketphi.eval.report import pictures, reading, scores, svg, units

STYLES = Path(pictures.__file__).parent


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_and_marks_stand_out_in_light_and_dark():
    style = (STYLES / "pictures.css").read_text()
    modes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(modes) == 2
    for mode in modes:
        for ground in ("paper", "card", "mark"):
            assert contrast(mode["ink"], mode[ground]) >= 7
            assert contrast(mode["soft"], mode[ground]) >= 4.5
        assert contrast(mode["ink"], mode["good-paper"]) >= 7
        assert contrast(mode["ink"], mode["bad-paper"]) >= 7
        assert min(contrast(mode[name], mode["card"]) for name in ("good", "bad")) >= 4.5
        assert min(contrast(mode[f"f{i}"], mode["paper"]) for i in range(1, 7)) >= 3


words = st.text(st.sampled_from("abcdefghij klmno한국어"), min_size=1, max_size=40)
score = st.builds(
    reading.Score,
    accuracy=st.floats(0, 1),
    standard_error=st.floats(0, 0.5),
    count=st.integers(1, 10**6),
)
widths = st.sampled_from([pictures.WIDE, pictures.SLIM])


def inside(drawing: svg.Drawing) -> None:
    """Every coordinate is a number, and no text of a picture leaves it on the right or the left."""
    text = drawing.svg("a label", "wide")
    assert "nan" not in re.sub(r">[^<]*<", "><", text)
    assert "inf" not in re.sub(r">[^<]*<", "><", text)
    assert drawing.height > 0
    page = Page(text)
    assert all(float(e["x"] or 0) >= -0.01 for e in page.all("rect"))
    for e in page.all("rect"):
        assert float(e["x"] or 0) + float(e["width"] or 0) <= drawing.width + 0.6
        assert float(e["height"] or 0) >= 0
    for line in re.findall(r"<text ([^>]*)>([^<]*)<", drawing.svg("x", "wide").split("<g ")[0]):
        place = dict(re.findall(r'(\S+)="([^"]*)"', line[0]))
        width, x = svg.text_width(html.unescape(line[1]), 11), float(place["x"])
        start = x - width * {"end": 1, "middle": 0.5}.get(place.get("text-anchor", ""), 0)
        assert start >= -1
        assert start + width <= drawing.width + 1


@given(st.lists(st.tuples(words, st.integers(0, 10**7)), max_size=15), st.integers(1, 10**7), widths)
def test_a_funnel_of_any_pages_can_be_drawn(drops: list[tuple[str, int]], kept: int, width: float):
    total = kept + sum(count for _, count in drops)
    drawn = [pictures.Drop(label=name, count=count) for name, count in drops]
    inside(pictures.funnel(total, drawn, [("web", kept, "f1")], width))


def lines_of(drawing: svg.Drawing) -> list[tuple[float, str]]:
    """Height and content of every text."""
    found = re.findall(r'<text [^>]*?y="([^"]*)"[^>]*>([^<]*)<', drawing.svg("x", "wide"))
    return [(float(y), html.unescape(content)) for y, content in found]


def test_on_a_phone_the_names_in_a_funnel_are_whole_and_apart():
    names = ("broke a rule of writing", "nothing to learn from it", "nearly the same as another")
    drops = [pictures.Drop(label=name, count=count) for name, count in zip(names, (1806, 57, 666), strict=True)]
    shown = lines_of(pictures.funnel(8383, drops, [("web", 2674, "f1")], pictures.SLIM))
    assert set(names) < {content for _, content in shown}
    heights = sorted(y for y, _ in shown)
    assert min(after - before for before, after in pairwise(heights)) >= 13


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), widths)
def test_names_of_baselines_touch_no_line(accuracies: list[float], width: float):
    columns = [scores.Column(name="phase 1", colour="f1")]
    of = {
        f"baseline {i}": {"known": reading.Score(accuracy=accuracy, standard_error=0.0, count=9)}
        for i, accuracy in enumerate(accuracies)
    }
    drawing = scores.stages(columns, {"known": [None]}, of, width)
    text = drawing.svg("x", "wide")
    lines = [
        tuple(map(float, place))
        for place in re.findall(r'x1="([^"]*)" y1="([^"]*)" x2="([^"]*)" y2="[^"]*" class="baseline"', text)
    ]
    named = re.findall(r'<text x="([^"]*)" y="([^"]*)"[^>]*>baseline', text)
    assert len(named) == len(of)
    for x, y in named:
        assert float(y) < drawing.height
        assert not any(start <= float(x) <= end and float(y) - 12 < at < float(y) + 4 for start, at, end in lines)


def test_the_rate_axis_shows_every_stage_however_far_apart_they_are():
    pretraining = [4e-3 * min(step / 21, 1.0) for step in range(300)]
    preferences = [4.8e-7, 1e-5, 1e-6]
    axis = pictures.rate_axis([pretraining, preferences])
    assert axis.low < min(preferences)
    assert axis.high > max(pretraining)
    assert len({axis.place(rate, 0, 150) for rate in preferences}) == 3
    # What falls to nothing does not stretch the axis.
    assert pictures.rate_axis([[4e-3, 1e-9]]).low > 1e-5


@given(st.lists(st.tuples(words, st.floats(0, 1e9)), min_size=1, max_size=8), widths)
def test_any_bars_can_be_drawn(rows: list[tuple[str, float]], width: float):
    drawn = [
        svg.Bar(label=name, segments=[svg.Segment(value=v, colour="f1")], note=f"{v:.0f}", error=v / 9)
        for name, v in rows
    ]
    inside(svg.bars(drawn, width))


@given(st.dictionaries(words, st.lists(st.none() | score, min_size=4, max_size=4), max_size=9), widths)
def test_any_scores_can_be_drawn(of_topic: dict[str, list[reading.Score | None]], width: float):
    columns = [scores.Column(name=f"stage {i}", colour=f"f{i}") for i in range(1, 5)]
    inside(scores.topics(columns, {"known": of_topic, "new": of_topic}, width))
    inside(scores.stages(columns, {"known": next(iter(of_topic.values()), [None] * 4)}, {}, width))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_ordered_and_few(low: float, span: float):
    ticks = svg.nice_ticks(low, low + span)
    assert ticks == sorted(ticks)
    assert len(ticks) <= 7
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=500), st.integers(1, 50))
def test_thinning_keeps_the_mean_and_the_extremes(values: list[float], most: int):
    line = svg.Line(name="x", points=[(float(i), v) for i, v in enumerate(values)], colour="f1")
    thin = svg.thinned(line, most)
    assert len(thin.points) == min(most, len(values))
    if thin.low:
        assert min(thin.low) == min(values)
        assert max(thin.high) == max(values)
        assert all(
            a <= y + 1e-9 and y <= b + 1e-9 for (_, y), a, b in zip(thin.points, thin.low, thin.high, strict=True)
        )


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.count(917), "917"),
        (units.count(917_632), "918 k"),
        (units.count(2_500_000), "2.5 M"),
        (units.size(620_000), "620 kB"),
        (units.size(1_835_264), "1.84 MB"),
        (units.duration(8.24), "8.2 s"),
        (units.duration(754), "12 min 34 s"),
        (units.duration(7_384), "2 h 03 min"),
        (units.percent(0.0001), "< 0.1 %"),
        (units.percent(0.0673), "6.7 %"),
        (units.percent(0.715), "72 %"),
        (units.percent(0.9996), "99.9 %"),
        (units.percent(1.0), "100 %"),
        (units.in_words(3_821_079_552), "3.82 billion"),
    ],
)
def test_figures_are_told_as_people_read_them(shown: str, expected: str):
    assert shown.replace("\u00a0", " ") == expected


def test_a_picture_of_its_own_needs_no_page():
    drawing = svg.bars([svg.Bar(label=HOSTILE, segments=[svg.Segment(value=1.0, colour="f1")], note="1")], 820)
    page = Page(pictures.standalone(drawing, "one bar"))
    assert page.all("svg")[0]["aria-label"] == "one bar"
    assert math.isclose(float(page.all("svg")[0]["width"] or 0), 852)
    assert not page.all("script")
