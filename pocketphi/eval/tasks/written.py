"""Benchmarks whose answer a model writes: worked problems, facts, and options after some thought.

A prompt ends at the cue; the model writes its steps and, as the worked examples do, closes with `The answer is ...`.
It stops where it would begin the next question, or at the end of the line where an answer is a few words.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from pocketphi.errors import shown
from pocketphi.eval.tasks.choice import index_of, question_of, shuffled, written_prompt
from pocketphi.eval.tasks.math_answers import math_answer, same_math
from pocketphi.eval.tasks.prompt import LETTERS, Format, Turn
from pocketphi.eval.tasks.replies import number_answer, option_answer, plain_words, short_answer
from pocketphi.eval.tasks.rows import Row, bad_row
from pocketphi.eval.tasks.task import Asked, Reply, Verdict, Written

CLOSING = "The answer is"
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_STEPS, _PROOF, _FACT = 400, 1024, 32


def gsm8k(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Steps and a number; an example's steps are its solution without the calculator's marks."""
    turns = [_turn(shot, form, _closed(_CALCULATOR.sub("", solution_of(shot)), text_of(shot))) for shot in shots]
    return Written(prompt=written_prompt(_asked(row, form), turns, form), max_tokens=_STEPS, stop=stops(form))


def competition_math(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    r"""Steps and a result in `\boxed{}`."""
    prompt = written_prompt(
        _asked(row, form),
        [_turn(shot, form, solution_of(shot)) for shot in shots],
        form,
        instruction=r"Solve the problem step by step, and put the result into \boxed{}.",
    )
    return Written(prompt=prompt, max_tokens=_PROOF, stop=stops(form))


def trivia(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """A few words, on the line of the cue."""
    turns = [_turn(shot, form, accepted(shot)[0]) for shot in shots]
    # Where the cue ends a line, the answer is the next one; a model that first ends another line has said nothing.
    return Written(prompt=written_prompt(_asked(row, form), turns, form), max_tokens=_FACT, stop=("\n",))


def option_after_steps(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Steps and the letter of an option; options in an order of their own for each row."""

    def turn(shot: Row) -> Turn:
        mixed = shuffled(shot)
        steps = solution_of(shot) if "solution" in shot.meta else ""
        return Turn(question=question_of(mixed, form), answer=_closed(steps, f"({LETTERS[index_of(mixed)]})"))

    prompt = written_prompt(
        question_of(shuffled(row), form),
        [turn(shot) for shot in shots],
        form,
        instruction=f"Think step by step, and close with `{CLOSING}` and the letter of the right option in brackets.",
    )
    return Written(prompt=prompt, max_tokens=_PROOF, stop=stops(form))


def judge_number(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`: the number is the right one."""
    del asked
    expected = number_of(row)
    return judged(number_answer(text_in(reply)), [text_of(row)], lambda answer, _: answer == expected)


def judge_math(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`: the result is the right one (`eval.tasks.math_answers`)."""
    del asked
    return judged(math_answer(text_in(reply)), accepted(row), same_math)


def judge_trivia(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`: the answer is one of those that are accepted."""
    del asked
    return judged(short_answer(text_in(reply)), accepted(row), lambda answer, expected: answer == plain_words(expected))


def judge_option(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`: the letter is that of the right option, in the order that was shown."""
    del asked
    return judged(
        option_answer(text_in(reply), len(row.choices)),
        [LETTERS[index_of(shuffled(row))]],
        lambda one, other: one == other,
    )


def judged(answer: str | None, accepted_answers: Iterable[str], same: Callable[[str, str], bool]) -> Verdict:
    """A verdict on what was understood; None is wrong."""
    expected = list(accepted_answers)
    is_right = answer is not None and any(same(answer, each) for each in expected)
    return Verdict(scores={"acc": float(is_right)}, answer=answer or "", expected=expected[0])


def stops(form: Format) -> tuple[str, ...]:
    """Where the next question would begin; where a format has no sign for it, where an example would."""
    sign = form.question.strip()
    return (f"\n{sign}",) if sign else (form.example,)


def text_in(reply: Reply) -> str:
    """A reply to `Written`."""
    assert isinstance(reply, str)
    return reply


def text_of(row: Row) -> str:
    """The one answer, a text. Raises `UserError` if the row has another kind."""
    if not isinstance(row.answer, str):
        raise bad_row(row, "`answer` must be a text")
    return row.answer


def number_of(row: Row) -> str:
    """The number that a row's answer names, in normal form. Raises `UserError` if there is none."""
    found = number_answer(text_of(row))
    if found is None:
        raise bad_row(row, f"`answer` is `{shown(row.answer)}`, and must be a number")
    return found


def accepted(row: Row) -> tuple[str, ...]:
    """All answers that are right. Raises `UserError` if the row has an index."""
    return row.answer if isinstance(row.answer, tuple) else (text_of(row),)


def solution_of(row: Row) -> str:
    """The worked solution of an example. Raises `UserError` if it has none."""
    solution = row.meta.get("solution")
    if not isinstance(solution, str):
        raise bad_row(row, "it is a worked example and has no `meta.solution`")
    return solution.strip()


def _asked(row: Row, form: Format) -> str:
    return f"{form.question}{row.question}"


def _turn(shot: Row, form: Format, answer: str) -> Turn:
    return Turn(question=_asked(shot, form), answer=answer)


def _closed(steps: str, answer: str) -> str:
    head = f"{steps} " if steps[-1:] in (".", "!", "?") else f"{steps}\n" if steps else ""
    return f"{head}{CLOSING} {answer}."
