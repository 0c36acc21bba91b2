"""Exact match: strict about content, blind to writing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.eval.answers import final_answer, is_correct, normalise


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("42", "42"),
        (" 42. ", "42"),
        ("1,200", "1200"),
        ("1200.00", "1200"),
        ("+7", "7"),
        ("007", "7"),
        ("\u22125", "-5"),
        ("-0", "0"),
        ("3.50 euros", "3.5 euros"),
        ("In the BOX.", "in the box"),
        ('"Ben"', "Ben"),
        ("Mia,  Ben,   Tom", "Mia, Ben, Tom"),
        ("3, 04, 5", "3, 4, 5"),
        ("\uff14\uff12", "42"),
        ("\uc0ac\uacfc 3\uac1c.", "\uc0ac\uacfc 3\uac1c"),
    ],
)
def test_one_answer_in_two_spellings(written: str, expected: str):
    assert is_correct(written, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("42 or 43", "42"),
        ("4 2", "42"),
        ("-5", "5"),
        ("3.5", "35"),
        ("12,34", "1234"),
        ("", "0"),
        ("Ben and Mia", "Mia and Ben"),
        ("9:05", "9:50"),
        (None, "42"),
    ],
)
def test_another_answer_stays_another(written: str | None, expected: str):
    assert not is_correct(written, expected)


@given(st.text())
def test_the_normal_form_is_its_own(text: str):
    assert normalise(normalise(text)) == normalise(text)


@given(st.integers(-(10**12), 10**12))
def test_a_number_is_itself_however_it_is_grouped(number: int):
    assert is_correct(f"{number:,}", str(number))
    assert is_correct(f"{number}.0", str(number))
    assert not is_correct(str(number + 1), str(number))


def test_what_stands_after_the_mark():
    assert final_answer("5 + 2 = 7.\nAnswer: 7") == "7"
    assert final_answer("Answer: 3\nNo.\nAnswer: 7\nDone") == "7"
    assert final_answer("Answer: 3\nThen more.\nAnswer: 7", first=True) == "3"
    assert final_answer("It is 7.") is None
    assert final_answer("Answer:") == ""
