"""Mathematical answers: hand-scored pairs, and what may not be read."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.eval.tasks.math_answers import last_boxed, math_answer, same_math

_SAME = [
    (r"\frac12", r"\frac{1}{2}"),
    ("0.5", r"\dfrac{1}{2}"),
    ("1/2", r"\tfrac12"),
    (r"2\sqrt5", r"\sqrt{20}"),
    (r"\frac{1}{\sqrt3}", r"\frac{\sqrt{3}}{3}"),
    (r"\sqrt[3]{27}", "3"),
    (r"6\frac15", "6.2"),
    (r"14{,}916", "14916"),
    (r"25,\!000", "25,000"),
    (r"25\%", "25"),
    (r"36^\circ", r"36^{\circ}"),
    ("36\u00b0", "36"),
    ("x=5", "5"),
    (r"x \in [1,2]", "[1, 2]"),
    (r"x = 1 \text{ or } x=2", "1,2"),
    (r"3 \pm 2\sqrt{2}", r"3-2\sqrt2, 3+2\sqrt2"),
    (r"(-\infty,3)\cup(3,\infty)", r"(3,\infty) \cup (-\infty, 3)"),
    (r"\left( \frac{11}{2}, -1, 1 \right)", "(5.5,-1,1)"),
    (r"\{1,2\}", r"\{2, 1\}"),
    ("1, 3", "3,1"),
    (r"\text{(C)}", "C"),
    ("(C)", "C"),
    (r"\text{Monday}", "monday"),
    (r"135\text{ square feet}", "135"),
    ("5 cm", "5"),
    (r"0.25\,\text{ cm}", r"\frac14"),
    (r"\$0.20", "0.2"),
    ("x^2-5", "-5+x^2"),
    ("(x+1)(x-1)", "x^2-1"),
    ("5x-7y+11z+4=0", "7y-5x-11z-4=0"),
    (r"$y=2x$", "y = 2x"),
    ("1101_4", "1101_{4}"),
    ("3^{2007}", "3^{2007}"),
    ("5!", "120"),
    ("(1+i)^2", "2i"),
    (r"\begin{pmatrix} 1/5 \\ -3/5 \end{pmatrix}", r"\begin{pmatrix} \frac15 \\ -0.6 \end{pmatrix}"),
    (r"\left(3,0\right)$;$\sqrt{3}", r"(3,0);\sqrt3"),
    ("\u22124", "-4"),
    ("12.", "12"),
]
_DIFFERENT = [
    ("(1,2)", "(2,1)"),
    ("[1,2]", "(1,2)"),
    ("0.33", r"\frac13"),
    (r"\frac{1}{12}", r"\frac{11}{2}"),
    ("1101_4", "1101"),
    ("5", "50"),
    ("1,2", "1"),
    ("1,2,3", "(1,2,3)"),
    (r"\sqrt2", "1.414"),
    ("x", "y"),
    ("x^2", "x^3"),
    ("2", "-2"),
    ("", "5"),
    ("(A", "A)"),
    (r"\frac{", "1"),
    (r"\frac{1}{0}", "1"),
    ("9^{9^{9^9}}", "1"),
    ("(" * 300, ")"),
    ("12345678901234567890123", "12345678901234567890124"),
    ("Monday", "Tuesday"),
    ("2x+1=0", "2x+1=3"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}"),
    ("5 or 6", "5"),
]


@pytest.mark.parametrize(("first", "second"), _SAME)
def test_the_same_in_other_writing_is_the_same(first: str, second: str) -> None:
    assert same_math(first, second)
    assert same_math(second, first)


@pytest.mark.parametrize(("first", "second"), _DIFFERENT)
def test_what_is_not_the_same_is_told_apart(first: str, second: str) -> None:
    assert not same_math(first, second)
    assert not same_math(second, first)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (r"So $\boxed{\frac{3}{4}}$.", r"\frac{3}{4}"),
        (r"\boxed{1} is wrong, so \boxed{2}", "2"),
        (r"\fbox{7}", "7"),
        (r"It is \boxed 5$ then", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"The answer is 9. But \boxed{8}", "8"),
        ("Steps.\nThe answer is $x = 4$.\nQuestion: next", "$x = 4$"),
        (" 12 ", "12"),
        ("12\n13", None),
        (r"\boxed{1", None),
        (r"\boxed{}", None),
        ("", None),
        ("x" * 1_000_000, None),
        (r"\boxed{" + "1" * 1_000_000 + "}", None),
    ],
)
def test_the_result_is_what_is_in_the_last_box(reply: str, expected: str | None) -> None:
    assert math_answer(reply) == expected


def test_braces_in_a_box_are_counted() -> None:
    assert last_boxed(r"\boxed{a{b{c}}d} {e}") == "a{b{c}}d"
    assert last_boxed("none") is None


@pytest.mark.parametrize(
    "text",
    ["9!" * 100, "(" * 399, "2^" * 150 + "2", "-" * 400, r"\sqrt" * 80, r"\pm" * 100, ",".join("12345"), "1" * 5000],
)
def test_hostile_answers_take_no_time(text: str) -> None:
    started = time.monotonic()
    same_math(text, "1")
    same_math(text, text + "0")
    assert time.monotonic() - started < 1


@given(st.text(alphabet=r"\{}()[]frac sqrtpmcup12,.^_-+*/=x!|&;$%", max_size=60))
def test_any_text_is_the_same_as_itself_and_none_breaks_the_comparison(text: str) -> None:
    assert same_math(text, text)
    same_math(text, "1")
    math_answer(text)


@given(st.fractions(max_denominator=50), st.integers(1, 9))
def test_a_fraction_is_the_same_when_expanded(value: object, factor: int) -> None:
    numerator, denominator = value.numerator, value.denominator  # type: ignore[attr-defined]
    expanded = rf"\frac{{{numerator * factor}}}{{{denominator * factor}}}"
    assert same_math(f"{numerator}/{denominator}", expanded)
    assert not same_math(f"{numerator + 1}/{denominator}", expanded)
