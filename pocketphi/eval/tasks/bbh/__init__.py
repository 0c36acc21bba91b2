"""BIG-Bench Hard (Suzgun et al. 2023, arXiv 2210.09261): 27 kinds of puzzles, three worked examples for each.

The worked examples are our own (`logic`, `language`, `worlds`), in the form of the rows but shorter where a row opens
with a long explanation; the published ones are not shipped. Tests compute the answers of all that can be computed.
How a reply is read depends on the kind: an option's letter, yes or no, a number, words in order, brackets.
"""

from collections.abc import Callable, Sequence
from functools import partial

from pocketphi.errors import shown
from pocketphi.eval.answers import normalise
from pocketphi.eval.tasks.bbh.language import LANGUAGE
from pocketphi.eval.tasks.bbh.logic import LOGIC
from pocketphi.eval.tasks.bbh.shape import Example
from pocketphi.eval.tasks.bbh.worlds import WORLDS
from pocketphi.eval.tasks.choice import written_prompt
from pocketphi.eval.tasks.prompt import Format, Turn
from pocketphi.eval.tasks.replies import (
    after_cue,
    brackets_answer,
    first_line,
    number_answer,
    option_answer,
    word_answer,
    words_answer,
)
from pocketphi.eval.tasks.rows import Row, bad_row
from pocketphi.eval.tasks.task import Asked, Reply, Verdict, Written
from pocketphi.eval.tasks.written import CLOSING, judged, solution_of, stops, text_in, text_of

EXAMPLES: dict[str, tuple[Example, ...]] = {**LOGIC, **LANGUAGE, **WORLDS}
"""Subset -> its worked examples."""

_MAX_TOKENS = 400
_MAX_OPTIONS = 26
_YES_NO = partial(word_answer, words=("yes", "no"))
_READERS: dict[str, Callable[[str], str | None]] = {
    "boolean_expressions": partial(word_answer, words=("true", "false")),
    "causal_judgement": _YES_NO,
    "dyck_languages": brackets_answer,
    "formal_fallacies": partial(word_answer, words=("valid", "invalid")),
    "multistep_arithmetic_two": number_answer,
    "navigate": _YES_NO,
    "object_counting": number_answer,
    "sports_understanding": _YES_NO,
    "web_of_lies": _YES_NO,
    "word_sorting": words_answer,
}
"""How a reply is read where the answer is no option."""


def worked(row: Row) -> tuple[Row, ...]:
    """The worked examples of a row's subset.

    Raises:
        UserError: there is no such subset.
    """
    if row.subset not in EXAMPLES:
        hint = f"they are {', '.join(sorted(EXAMPLES))}"
        raise bad_row(row, f"`{shown(row.subset)}` is no subset of BIG-Bench Hard", hint=hint)
    return tuple(
        Row(
            id=f"worked/{row.subset}/{number}",
            question=example.question,
            answer=example.answer,
            subset=row.subset,
            meta={"solution": example.steps},
        )
        for number, example in enumerate(EXAMPLES[row.subset], 1)
    )


def bbh(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Steps and an answer. The options stand in the row's text, and keep its form."""
    turns = [
        Turn(question=_asked(shot, form), answer=f"{solution_of(shot)} {CLOSING} {text_of(shot)}.") for shot in shots
    ]
    return Written(prompt=written_prompt(_asked(row, form), turns, form), max_tokens=_MAX_TOKENS, stop=stops(form))


def check_bbh(row: Row) -> None:
    """Raises `UserError` if the subset is none, or nobody could give the answer as it stands."""
    worked(row)
    reader = _READERS.get(row.subset)
    if reader is not None and reader(f"{CLOSING} {text_of(row)}.") is None:
        raise bad_row(row, f"`answer` is `{shown(row.answer)}`, which is none of `{row.subset}`")
    text_of(row)


def judge_bbh(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`: the answer is the right one, read as its subset is."""
    del asked
    expected = text_of(row)
    if (reader := _READERS.get(row.subset)) is not None:
        answer = reader(text_in(reply))
        return judged(answer, [expected], lambda one, other: one == reader(f"{CLOSING} {other}."))
    if expected.startswith("("):
        answer = option_answer(text_in(reply), _MAX_OPTIONS)
        return judged(answer and f"({answer})", [expected], lambda one, other: one == other)
    # A row whose answer is the text of an option.
    line = after_cue(text_in(reply))
    return judged(
        first_line(text_in(reply)) if line is None else line,
        [expected],
        lambda one, other: normalise(one) == normalise(other),
    )


def _asked(row: Row, form: Format) -> str:
    # The rows of one subset bring a sign of their own.
    return f"{form.question}{row.question.removeprefix('Question: ')}"
