"""The worked examples of BIG-Bench Hard: every answer that can be computed is computed."""

import re
from datetime import date, timedelta
from itertools import pairwise

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.tasks.bbh import EXAMPLES, bbh, judge_bbh, worked
from pocketphi.eval.tasks.bbh.shape import Example
from pocketphi.eval.tasks.bbh.worlds import tracked
from pocketphi.eval.tasks.prompt import FORMATS
from pocketphi.eval.tasks.rows import Row

_NUMBERS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_NO_PART = {"pear", "lamp"}
"""Things in the lists to count that are not of the kind that is counted."""


def _option(example: Example) -> str:
    """The text of the right option."""
    (found,) = re.findall(rf"^{re.escape(example.answer)} (.*)$", example.question, re.MULTILINE)
    return str(found)


def test_there_are_three_for_each_of_27_subsets() -> None:
    assert len(EXAMPLES) == 27
    assert {len(examples) for examples in EXAMPLES.values()} == {3}


@pytest.mark.parametrize("subset", EXAMPLES)
def test_examples_differ_and_their_answers_do_not_all_agree(subset: str) -> None:
    assert len({example.question for example in EXAMPLES[subset]}) == 3
    assert len({example.answer for example in EXAMPLES[subset]}) > 1


@pytest.mark.parametrize("subset", EXAMPLES)
def test_a_model_that_writes_as_the_examples_do_is_read(subset: str) -> None:
    for row in worked(Row(id="x", question="?", answer="?", subset=subset)):
        written = f" {row.meta['solution']} The answer is {row.answer}.\n\nQuestion: more\nAnswer: The answer is (Z)."
        asked = bbh(row, worked(row), FORMATS[0])
        assert judge_bbh(row, asked, written).scores == {"acc": 1.0}


@pytest.mark.parametrize("subset", EXAMPLES)
def test_options_are_lettered_in_order_and_differ(subset: str) -> None:
    for example in EXAMPLES[subset]:
        found = re.findall(r"^\(([A-Z])\) (.*)$", example.question, re.MULTILINE)
        assert "".join(letter for letter, _ in found) == "ABCDEFGHIJKLM"[: len(found)]
        assert len({text for _, text in found}) == len(found)
        if found:
            assert example.answer in [f"({letter})" for letter, _ in found]


@pytest.mark.parametrize("example", EXAMPLES["boolean_expressions"])
def test_boolean_expressions(example: Example) -> None:
    assert str(_evaluated(example.question.removesuffix(" is"), r"[TrueFalsnotd() ]+")) == example.answer


@pytest.mark.parametrize("example", EXAMPLES["multistep_arithmetic_two"])
def test_arithmetic(example: Example) -> None:
    assert str(_evaluated(example.question.removesuffix(" ="), r"[\d+*() -]+")) == example.answer


@pytest.mark.parametrize("example", EXAMPLES["dyck_languages"])
def test_brackets(example: Example) -> None:
    pairs = {"(": ")", "[": "]", "{": "}", "<": ">"}
    opened: list[str] = []
    for sign in example.question.partition("Input: ")[2].split():
        if sign in pairs:
            opened.append(pairs[sign])
        else:
            assert opened.pop() == sign
    assert " ".join(reversed(opened)) == example.answer


@pytest.mark.parametrize("example", EXAMPLES["object_counting"])
def test_counting(example: Example) -> None:
    listed = re.findall(r"\b(an?|two|three|four|five) (\w+)", example.question.partition(".")[0])
    assert str(sum(_NUMBERS[count] for count, thing in listed if thing not in _NO_PART)) == example.answer


@pytest.mark.parametrize("example", EXAMPLES["navigate"])
def test_walks(example: Example) -> None:
    place, heading = 0j, 1j
    turns = {"around": -1, "right": -1j, "left": 1j}
    for turn, steps, way in re.findall(r"Turn (\w+)\.|Take (\d+) steps?(?: (\w+))?\.", example.question):
        if turn:
            heading *= turns[turn]
        else:
            place += int(steps) * heading * {"": 1, "forward": 1, "backward": -1, "left": 1j, "right": -1j}[way]
    assert ("No" if place else "Yes") == example.answer


@pytest.mark.parametrize("example", EXAMPLES["web_of_lies"])
def test_lies(example: Example) -> None:
    honest: dict[str, bool] = {}
    for name, fact in re.findall(r"(\w+) (lies|tells the truth)\.", example.question.partition(" says ")[0]):
        honest[name] = fact != "lies"
    for name, about, claim in re.findall(r"(\w+) says (\w+) (lies|tells the truth)\.", example.question):
        honest[name] = honest[about] == (claim != "lies")
    (asked,) = re.findall(r"Does (\w+) tell the truth", example.question)
    assert ("Yes" if honest[asked] else "No") == example.answer


@pytest.mark.parametrize("example", EXAMPLES["word_sorting"])
def test_sorting(example: Example) -> None:
    assert " ".join(sorted(example.question.partition("List: ")[2].split())) == example.answer


def test_dates() -> None:
    first, second, third = (_option(example) for example in EXAMPLES["date_understanding"])
    assert first == f"{date(2019, 2, 27) + timedelta(days=1 + 7):%m/%d/%Y}"
    assert second == f"{date(1990 + 20, 7, 4) + timedelta(days=1):%m/%d/%Y}"
    assert third == f"{date(2003, 12, 31) + timedelta(days=10):%m/%d/%Y}"


@pytest.mark.parametrize("example", EXAMPLES["geometric_shapes"])
def test_shapes(example: Example) -> None:
    points = [complex(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", example.question)]
    assert points[0] == points[-1]
    corners = len(set(points))
    sides = [later - before for before, later in pairwise(points)]
    right_angled = all(not (one.conjugate() * other).real for one, other in pairwise(sides))
    named = {3: "triangle", 4: "rectangle" if right_angled else "", 5: "pentagon"}
    assert _option(example) == named[corners]


def test_penguins() -> None:
    tallest, older, weight = (_option(example) for example in EXAMPLES["penguins_in_a_table"])
    rows = re.findall(r"(\w+), (\d+), (\d+), (\d+)", EXAMPLES["penguins_in_a_table"][0].question)
    assert len(rows) == 3
    assert tallest == max(rows, key=lambda row: int(row[2]))[0]
    assert older == str(sum(int(row[1]) > 5 for row in rows))
    assert weight == str(sum(int(row[3]) for row in rows if row[0] != "Pablo"))


@pytest.mark.parametrize("example", EXAMPLES["temporal_sequences"])
def test_free_hours(example: Example) -> None:
    def hour(text: str) -> int:
        return int(text[:-2]) % 12 + (12 if text.endswith("pm") else 0)

    (woke,) = re.findall(r"woke up at (\w+)", example.question)
    (closed,) = re.findall(r"closed after (\w+)", example.question)
    free = set(range(hour(woke), hour(closed)))
    for start, end in re.findall(r"saw .* from (\w+) to (\w+)", example.question):
        free -= set(range(hour(start), hour(end)))
    start, end = _option(example).split(" to ")
    assert free == set(range(hour(start), hour(end)))


@pytest.mark.parametrize("kind", ["three", "five", "seven"])
def test_traded_things(kind: str) -> None:
    for example in EXAMPLES[f"tracking_shuffled_objects_{kind}_objects"]:
        held = dict(re.findall(r"(\w+) has a (\w+)", example.question))
        for one, other in re.findall(r"(\w+) and (\w+) trade", example.question):
            held[one], held[other] = held[other], held[one]
        (asked,) = re.findall(r"At the end, (\w+) has the", example.question)
        assert _option(example) == held[asked]
        assert f"At the end {asked} has the {held[asked]}." in example.steps


def test_who_trades_nothing_keeps_everything() -> None:
    assert tracked(("a", "b"), (), 1).answer == "(B)"


def test_colours() -> None:
    assert [_option(example) for example in EXAMPLES["reasoning_about_colored_objects"]] == ["white", "black", "three"]


@pytest.mark.parametrize(
    ("subset", "expected", "reply", "score"),
    [
        ("snarks", "(B)", " It is not meant. The answer is (B).", 1.0),
        ("snarks", "(B)", "b) of course", 0.0),
        ("snarks", "(B)", "The answer is (A) or (B).", 0.0),
        ("navigate", "Yes", "The answer is yes", 1.0),
        ("sports_understanding", "no", "So the answer is No.", 1.0),
        ("formal_fallacies", "valid", "The answer is invalid.", 0.0),
        ("formal_fallacies", "invalid", "The answer is Invalid", 1.0),
        ("boolean_expressions", "False", "False", 1.0),
        ("object_counting", "7", "3 + 4 = 7. The answer is 7 things.", 1.0),
        ("multistep_arithmetic_two", "-10", "The answer is \u221210.", 1.0),
        ("word_sorting", "ant pea", "The answer is ant, pea.", 1.0),
        ("word_sorting", "ant pea", "The answer is pea ant.", 0.0),
        ("dyck_languages", "] )", "The answer is ]).", 1.0),
        ("dyck_languages", "] )", "The answer is ) ].", 0.0),
        ("movie_recommendation", "Monsters, Inc", "The answer is monsters, inc.", 1.0),
        ("movie_recommendation", "(C)", "", 0.0),
        ("web_of_lies", "No", "x" * 1_000_000, 0.0),
    ],
)
def test_replies_are_judged_by_their_subset(subset: str, expected: str, reply: str, score: float) -> None:
    row = Row(id="x", question="?", answer=expected, subset=subset)
    verdict = judge_bbh(row, bbh(row, (), FORMATS[0]), reply)
    assert verdict.scores == {"acc": score}
    assert verdict.expected == expected


def test_a_subset_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="no subset"):
        worked(Row(id="x", question="?", answer="?", subset="chess"))


def _evaluated(text: str, allowed: str) -> object:
    assert re.fullmatch(allowed, text)
    return eval(text)
