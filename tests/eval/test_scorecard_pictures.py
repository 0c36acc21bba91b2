"""The scorecard's pictures: drawn from any scores, inside their frame."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.page import Page
from pocketphi.eval.report import pictures as frames
from pocketphi.eval.report.svg import Drawing
from pocketphi.eval.scorecard import pictures
from pocketphi.eval.scorecard.pictures import Bin, Curves, Dot, Mark, Rung

words = st.text(st.sampled_from("abcdefghij klmno한국어<&"), min_size=1, max_size=40)
share = st.floats(0, 1)
widths = st.sampled_from([frames.WIDE, frames.SLIM])
mark = st.builds(Mark, value=share, low=share, high=share, colour=st.sampled_from(["f1", "f3"]), hint=words)
rung = st.builds(
    Rung,
    label=words,
    ours=st.none() | mark,
    others=st.lists(mark, max_size=3),
    published=st.lists(st.tuples(st.sampled_from(["circle", "diamond", "triangle"]), share, words), max_size=3),
    chance=st.none() | share,
)
each_bin = st.builds(Bin, confidence=share, accuracy=share, low=share, high=share, count=st.integers(1, 10**6))


def inside(drawing: Drawing) -> None:
    """Every coordinate is a number; marks lie within the picture; it is well-formed."""
    text = drawing.svg("what it shows", "wide")
    attributes = re.sub(r">[^<]*<", "><", text)
    assert "nan" not in attributes
    assert "inf" not in attributes
    page = Page(text)
    for name, found in page.elements:
        for key in ("x", "cx", "x1", "x2"):
            if key in found and name != "svg":
                assert -1 <= float(found[key] or 0) <= drawing.width + 1
        for key in ("y", "cy", "y1", "y2"):
            if key in found:
                assert -1 <= float(found[key] or 0) <= drawing.height + 1
    assert all(float(e["x"] or 0) + float(e["width"] or 0) <= drawing.width + 1 for e in page.all("rect"))


@given(st.lists(rung, max_size=9), widths)
def test_any_benchmarks_can_be_drawn(rungs: list[Rung], width: float):
    inside(pictures.ladder(rungs, width))


@given(st.lists(st.builds(Dot, label=words, value=share, low=share, high=share, note=words), max_size=12), widths)
def test_any_subsets_can_be_drawn(rows: list[Dot], width: float):
    inside(pictures.dots(rows, width))


@given(st.lists(st.tuples(words, st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=12), widths)
def test_any_differences_can_be_drawn(rows: list[tuple[str, float, float]], width: float):
    drawn = [Dot(label=name, value=v, low=v - e, high=v + e, note=pictures.points(v)) for name, v, e in rows]
    low, high = min(0.0, *(row.low for row in drawn)) - 0.01, max(0.0, *(row.high for row in drawn)) + 0.01
    inside(pictures.dots(drawn, width, (low, high)))


@given(words, st.lists(each_bin, max_size=10), st.floats(120, 400))
def test_any_calibration_can_be_drawn(title: str, bins: list[Bin], width: float):
    inside(pictures.reliability(title, title, bins, width))


@given(words, st.dictionaries(st.integers(1, 500), st.tuples(share, share), min_size=1, max_size=6), share)
def test_any_lengths_can_be_drawn(title: str, scores: dict[int, tuple[float, float]], level: float):
    limits = sorted(scores)
    curves = Curves(
        title=title,
        limits=limits,
        strict=[scores[k][0] for k in limits],
        soft=[scores[k][1] for k in limits],
        level=level,
    )
    inside(pictures.over_length(curves, 250.0))


@given(st.integers(0, 11), st.integers(1, 4), widths)
def test_a_mosaic_holds_all_its_panels(count: int, columns: int, width: float):
    panels = [lambda each: pictures.reliability("a", "b", [], each)] * count
    drawing = pictures.mosaic(panels, width, columns)
    places = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", drawing.svg("x", "wide"))
    assert len(places) == count == len(set(places))
    assert all(float(x) < width and float(y) < drawing.height for x, y in places)
    if count:
        rows = math.ceil(count / columns)
        assert len({y for _, y in places}) == rows


@pytest.mark.parametrize(("value", "shown"), [(0.0831, "+8.3"), (-0.1, "−10.0"), (0.0, "0"), (-0.0001, "0")])
def test_differences_are_told_in_points_with_a_sign(value: float, shown: str):
    assert pictures.points(value) == shown
