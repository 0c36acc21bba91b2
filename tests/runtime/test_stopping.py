"""Stop strings are found wherever the pieces are cut."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.runtime.stopping import StopFinder

TEXT = st.text("ab.", max_size=30)


@given(text=TEXT, stops=st.lists(st.text("ab.", min_size=1, max_size=4), max_size=3), cuts=st.lists(st.integers(0, 30)))
@example(text="ab.", stops=["ab.", "b"], cuts=[2])
def test_cutting_the_text_changes_nothing(text: str, stops: list[str], cuts: list[int]):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    finder = StopFinder(stops)
    out = "".join(finder.push(text[a:b]) for a, b in itertools.pairwise(places)) + finder.finish()
    found = [text.find(stop) for stop in stops if stop in text]
    whole = StopFinder(stops)
    assert (out, finder.found) == (whole.push(text) + whole.finish(), whole.found)
    assert finder.found == bool(found)
    if not found:
        assert out == text


@given(text=TEXT, stop=st.text("ab.", min_size=1, max_size=4))
def test_the_text_ends_where_the_stop_string_begins(text: str, stop: str):
    finder = StopFinder([stop])
    out = "".join(map(finder.push, text)) + finder.finish()
    assert out == text.split(stop)[0]


@pytest.mark.parametrize("stops", [[""], ["x" * 1025], ["x"] * 65])
def test_odd_stop_strings_are_refused(stops: list[str]):
    with pytest.raises(UserError):
        StopFinder(stops)
