"""Likelihoods judged: hand-scored replies."""

import math
from dataclasses import replace

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.tasks.choice import (
    cloze,
    judge_choice,
    judge_letter,
    judge_truths,
    letter_sets,
    letters,
    right_letters,
    shuffled,
    softmax,
    truths,
)
from pocketphi.eval.tasks.phi3 import agieval, judge_agieval
from pocketphi.eval.tasks.prompt import FORMATS
from pocketphi.eval.tasks.rows import Row
from pocketphi.eval.tasks.task import Likelihood, Verdict, Written
from pocketphi.eval.tasks.written import judge_math, judge_number, judge_option, judge_trivia

_ROW = Row(id="r", question="Which?", answer=1, choices=("a", "bbbbbbbbbb", "cc"))
_SETS = Row(id="s", question="Which are even?", answer=("D", "B"), choices=("1", "2", "3", "4"), meta={"multi": True})
_TRUTHS = Row(
    id="t",
    question="?",
    answer=0,
    choices=("true 1", "false 1"),
    meta={"mc2": {"true 1": 1, "true 2": 1, "false 1": 0}},
)


def _likely(*logprobs: float) -> tuple[Likelihood, ...]:
    return tuple(Likelihood(logprob=value, is_greedy=False) for value in logprobs)


@pytest.mark.parametrize(
    ("logprobs", "acc", "acc_norm", "answer"),
    [
        ((-3.0, -1.0, -2.0), 1.0, 1.0, "bbbbbbbbbb"),
        ((-1.0, -3.0, -2.0), 0.0, 1.0, "a"),
        ((-0.1, -3.0, -2.0), 0.0, 0.0, "a"),
        ((-9.0, -8.0, -1.0), 0.0, 0.0, "cc"),
        ((-2.0, -2.0, -2.0), 0.0, 1.0, "a"),
        ((-math.inf, -5.0, -math.inf), 1.0, 1.0, "bbbbbbbbbb"),
        ((-math.inf, -math.inf, -math.inf), 0.0, 0.0, "a"),
        ((-4.0, -4.0, -3.9), 0.0, 1.0, "cc"),
    ],
)
def test_the_likeliest_is_the_answer(logprobs: tuple[float, ...], acc: float, acc_norm: float, answer: str) -> None:
    verdict = judge_choice(_ROW, cloze(_ROW, (), FORMATS[0]), _likely(*logprobs))
    assert verdict.scores == {"acc": acc, "acc_norm": acc_norm}
    assert verdict.answer == answer
    assert verdict.expected == "bbbbbbbbbb"
    assert math.isclose(sum(verdict.probabilities or ()), 1)


def test_letters_have_no_length() -> None:
    verdict = judge_letter(_ROW, letters()(_ROW, (), FORMATS[0]), _likely(-2.0, -1.0, -3.0))
    assert verdict.scores == {"acc": 1.0}
    assert (verdict.answer, verdict.expected) == ("B", "B")


@pytest.mark.parametrize(("likeliest", "score"), [("BD", 1.0), ("B", 0.0), ("ABCD", 0.0), ("AB", 0.0)])
def test_of_several_right_options_all_must_be_named(likeliest: str, score: float) -> None:
    asked = letter_sets(_SETS, (), FORMATS[0])
    verdict = judge_letter(_SETS, asked, _likely(*(0.0 if label == likeliest else -5.0 for label in asked.labels)))
    assert verdict.scores == {"acc": score}
    assert (verdict.answer, verdict.expected) == (likeliest, "BD")


@pytest.mark.parametrize(
    ("answer", "expected"), [(0, "A"), (2, "C"), ("AD", "AD"), ("B C D", "BCD"), (("D", "A"), "AD"), ("C", "C")]
)
def test_letters_of_the_right_options(answer: int | str | tuple[str, ...], expected: str) -> None:
    assert right_letters(replace(_SETS, answer=answer)) == expected


@pytest.mark.parametrize("answer", ["", "E", "none", ("A", "Z")])
def test_letters_of_no_option_are_refused(answer: str | tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="letters"):
        right_letters(replace(_SETS, answer=answer))


@pytest.mark.parametrize(
    ("probabilities", "mc2", "mc1"),
    [
        ((0.5, 0.25, 0.25), 0.75, 1.0),
        ((0.2, 0.2, 0.6), 0.4, 0.0),
        ((0.1, 0.8, 0.1), 0.9, 0.0),
        ((1 / 3, 1 / 3, 1 / 3), 2 / 3, 0.0),
        ((0.0, 0.0, 1.0), 0.0, 0.0),
        ((1.0, 0.0, 0.0), 1.0, 1.0),
        ((0.4, 0.3, 0.3), 0.7, 1.0),
        ((0.3, 0.3, 0.4), 0.6, 0.0),
    ],
)
def test_the_share_of_true_statements(probabilities: tuple[float, ...], mc2: float, mc1: float) -> None:
    replies = _likely(*(math.log(value) - 7 if value else -math.inf for value in probabilities))
    verdict = judge_truths(_TRUTHS, truths(_TRUTHS, (), FORMATS[0]), replies)
    assert verdict.scores["mc2"] == pytest.approx(mc2)
    assert verdict.scores["mc1"] == mc1
    assert verdict.expected == "true 1"


@pytest.mark.parametrize("meta", [{}, {"mc2": {"true 1": 1}}, {"mc2": []}, {"mc2": {"x": 1, "y": 0}}])
def test_statements_without_truth_are_refused(meta: dict[str, object]) -> None:
    with pytest.raises(UserError, match="mc2"):
        truths(replace(_TRUTHS, meta=meta), (), FORMATS[0])


def test_a_shuffled_row_keeps_its_right_choice_and_hangs_on_its_id() -> None:
    rows = [replace(_ROW, id=str(number)) for number in range(300)]
    assert all(shuffled(row).choices[shuffled(row).answer] == "bbbbbbbbbb" for row in rows)  # type: ignore[index]
    places = [shuffled(row).answer for row in rows]
    assert all(70 < places.count(place) < 130 for place in range(3))
    assert shuffled(rows[0]) == shuffled(rows[0])


def test_probabilities_do_not_overflow() -> None:
    assert softmax((-1e6, -1e6)) == (0.5, 0.5)
    assert softmax((-math.inf, 0.0)) == (0.0, 1.0)


def _scored(judge: str, row: Row, reply: str) -> Verdict:
    by_name = {"number": judge_number, "math": judge_math, "trivia": judge_trivia, "option": judge_option}
    return by_name[judge](row, agieval(replace(row, choices=()), (), FORMATS[0]), reply)


_NUMBER = Row(id="n", question="?", answer="1,250")
_MATH = Row(id="m", question="?", answer=r"\frac{1}{2}")
_TRIVIA = Row(id="q", question="?", answer=("The Danube", "Donau"))
_OPTION = Row(id="o", question="?", answer=0, choices=("w", "x", "y", "z"))
_LETTER = "ABCD"[shuffled(_OPTION).answer]  # type: ignore[index]


@pytest.mark.parametrize(
    ("judge", "row", "reply", "score"),
    [
        ("number", _NUMBER, "The answer is $1250.00.", 1.0),
        ("number", _NUMBER, "1,250", 1.0),
        ("number", _NUMBER, "The answer is 125.", 0.0),
        ("number", _NUMBER, "", 0.0),
        ("number", _NUMBER, "The answer is 1250.\n\nQuestion: ... The answer is 3.", 1.0),
        ("number", _NUMBER, "It was 1250, I thought. The answer is 1249.", 0.0),
        ("number", _NUMBER, "x" * 1_000_000, 0.0),
        ("number", _NUMBER, "The answer is 1,250%", 1.0),
        ("math", _MATH, r"\boxed{0.5}", 1.0),
        ("math", _MATH, r"The answer is $\frac12$.", 1.0),
        ("math", _MATH, "1/2", 1.0),
        ("math", _MATH, r"\boxed{2}", 0.0),
        ("math", _MATH, r"\boxed{\frac{1}{2}, 1}", 0.0),
        ("math", _MATH, " \n ", 0.0),
        ("math", _MATH, r"\boxed{1/2} or \boxed{1/3}", 0.0),
        ("math", _MATH, "One half\nor so", 0.0),
        ("trivia", _TRIVIA, " the danube", 1.0),
        ("trivia", _TRIVIA, "DONAU.", 1.0),
        ("trivia", _TRIVIA, "Danube or Rhine", 0.0),
        ("trivia", _TRIVIA, "The Rhine\nDanube", 0.0),
        ("trivia", _TRIVIA, "", 0.0),
        ("trivia", _TRIVIA, "It is the Danube", 0.0),
        ("trivia", _TRIVIA, "Answer: Danube", 1.0),
        ("trivia", _TRIVIA, "'Danube'", 1.0),
        ("option", _OPTION, f"So it is. The answer is ({_LETTER}).", 1.0),
        ("option", _OPTION, _LETTER, 1.0),
        ("option", _OPTION, f"({_LETTER.lower()})", 1.0),
        ("option", _OPTION, "The answer is w.", 0.0),
        ("option", _OPTION, "The answer is (A), (B), (C) or (D).", 0.0),
        ("option", _OPTION, "", 0.0),
        ("option", _OPTION, f"({_LETTER}) or not", 1.0),
        ("option", _OPTION, "The answer is (Q)", 0.0),
    ],
)
def test_written_replies_are_judged(judge: str, row: Row, reply: str, score: float) -> None:
    verdict = _scored(judge, row, reply)
    assert verdict.scores == {"acc": score}
    assert verdict.expected


def test_what_was_not_understood_is_an_empty_answer() -> None:
    assert _scored("number", _NUMBER, "who knows").answer == ""


def test_agieval_asks_each_row_in_its_own_way() -> None:
    problem = replace(_MATH, choices=())
    asked = agieval(problem, (), FORMATS[0])
    assert isinstance(asked, Written)
    assert judge_agieval(problem, asked, r"\boxed{0.5}").scores == {"acc": 1.0}
    chosen = agieval(_SETS, (), FORMATS[0])
    assert not isinstance(chosen, Written)
    assert len(chosen.labels) == 15


def test_a_row_of_another_kind_is_refused_by_its_name() -> None:
    with pytest.raises(UserError, match="`n`"):
        cloze(_ROW, (replace(_NUMBER, choices=("1",)),), FORMATS[0])
    with pytest.raises(UserError, match="`r`"):
        judge_number(_ROW, letters()(_ROW, (), FORMATS[0]), "1")
