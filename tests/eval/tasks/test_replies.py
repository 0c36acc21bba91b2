"""Reading written replies: hand-scored samples of every reader."""

import time
from collections.abc import Callable

import pytest

from pocketphi.eval.tasks.replies import (
    after_cue,
    brackets_answer,
    number_answer,
    option_answer,
    plain_words,
    short_answer,
    word_answer,
    words_answer,
)

_READERS: dict[str, Callable[[str], str | None]] = {
    "number": number_answer,
    "option": lambda text: option_answer(text, 4),
    "word": lambda text: word_answer(text, ("yes", "no")),
    "words": words_answer,
    "brackets": brackets_answer,
    "short": short_answer,
}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (" 6 * 3 = 18. The answer is 18.", "18"),
        ("The answer is $1,234.50 a year.", "1234.5"),
        ("The answer is 18.00", "18"),
        ("The answer is 25%.", "25"),
        ("#### 1,000", "1000"),
        ("the ANSWER IS: -7", "-7"),
        ("The answer is \u22127.", "-7"),
        ("The answer is 3 + 4 = 7 apples of 10.", "7"),
        ("The answer is 5 apples out of 10.", "5"),
        ("First 12, then 10-4 and so 6", "6"),
        ("The answer is 5. The answer is 6.", "5"),
        ("The answer is 5.\n\nQuestion: And now?\nAnswer: The answer is 9.", "5"),
        ("Answer:\n\n**42**", "42"),
        ("The answer is .5", "0.5"),
        ("The answer is -$3", "-3"),
        ("The answer is unknown, though 7 was said before.", "7"),
        ("The answer is unknown.\nIt may be 7.", None),
        ("none at all", None),
        ("", None),
        (" \n\t ", None),
    ],
)
def test_a_number_is_read_behind_the_first_cue(reply: str, expected: str | None) -> None:
    assert number_answer(reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("So the answer is (B).", "B"),
        ("The answer is b.", None),
        ("The answer is (b)", "B"),
        ("The answer is B", "B"),
        ("The answer is: **C. copper**", "C"),
        ("Answer: Option D, since it is the least.", "D"),
        ("(A)", "A"),
        (" A. the first one", "A"),
        ("The answer is (A) or (B).", None),
        ("The answer is A and C", None),
        ("The answer is A, B", None),
        ("The answer is (A), because (B) is wrong.", "A"),
        ("The answer is (E).", None),
        ("The answer is a cat", None),
        ("A cat sat there.", None),
        ("(A) cannot be. The answer is (B).", "B"),
        ("The answer is (B).\n\nThe answer is (C).", "B"),
        ("I think it might be B", None),
        ("", None),
        ("\n  \n", None),
    ],
)
def test_an_option_is_read_where_an_answer_begins(reply: str, expected: str | None) -> None:
    assert option_answer(reply, 4) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("So the answer is Yes.", "yes"),
        ("The answer is no", "no"),
        ("NO", "no"),
        ("Answer: **Yes**, you do.", "yes"),
        ("The answer is yes and no.", None),
        ("The answer is yes or no", None),
        ("The answer is maybe.", None),
        ("The answer is not yes.", None),
        ("Yesterday it was so.", None),
        ("The answer is No.\n\nQuestion: x\nAnswer: The answer is Yes.", "no"),
        ("", None),
    ],
)
def test_yes_and_no_are_read_where_an_answer_begins(reply: str, expected: str | None) -> None:
    assert word_answer(reply, ("yes", "no")) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("First a, then b. The answer is ant bee cat.", "ant bee cat"),
        ("The answer is ant, bee,  cat", "ant bee cat"),
        ("ANT BEE", "ant bee"),
        ("The answer is o'hara pea.", "o'hara pea"),
        ("Answer: ant\nbee", "ant"),
        ("The answer is `ant bee`.", "ant bee"),
        ("", None),
        ("  \n", None),
    ],
)
def test_words_are_read_in_their_order(reply: str, expected: str | None) -> None:
    assert words_answer(reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Open is ( and then [. The answer is ] ).", "] )"),
        ("The answer is ])", "] )"),
        ("> }", "> }"),
        ("The answer is `} >`", "} >"),
        ("The answer is ] ) and then nothing", None),
        ("The answer is none.", None),
        ("The answer is )\n) ]", ")"),
        ("", None),
    ],
)
def test_brackets_are_read_if_nothing_else_is_there(reply: str, expected: str | None) -> None:
    assert brackets_answer(reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (" The Danube.", "danube"),
        ("the   DANUBE", "danube"),
        ("Johann Wolfgang von Goethe\nQuestion: next", "johann wolfgang von goethe"),
        ("Answer: Paris", "paris"),
        ('"Paris"', "paris"),
        ("J. S. Bach", "j s bach"),
        ("rock-and-roll", "rock and roll"),
        ("\n\nVienna", "vienna"),
        ("Paris or London", "paris or london"),
        ("the", None),
        ("", None),
        ("?!", None),
    ],
)
def test_a_short_answer_is_the_first_line_in_normal_form(reply: str, expected: str | None) -> None:
    assert short_answer(reply) == expected


def test_aliases_are_put_into_the_same_form() -> None:
    assert plain_words("Hansen's Disease") == plain_words("hansen\u2019s  disease") == "hansen s disease"


def test_a_cue_is_a_word_of_its_own_with_something_behind_it() -> None:
    assert after_cue("The answers are many") is None
    assert after_cue("The answer isn't here") is None
    assert after_cue("the answer is") == ""


@pytest.mark.parametrize("reader", _READERS.values(), ids=_READERS)
@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        " " * 1_000_000,
        "answer is " * 100_000,
        "1," * 500_000,
        "9" * 1_000_000,
        "(" * 1_000_000,
        "answer" + " " * 1_000_000,
        "The answer is " + "A or " * 200_000,
    ],
    ids=["letters", "spaces", "cues", "commas", "digits", "brackets", "gap", "options"],
)
def test_a_million_characters_are_read_in_a_moment(reader: Callable[[str], str | None], text: str) -> None:
    started = time.monotonic()
    reader(text)
    assert time.monotonic() - started < 2
