"""The report's table (section 3, table 2): twenty benchmarks with its shots, and GPQA.

The report gives the shape of a prompt (Appendix A: `Question:`, `Options:`, `A. ...`, `Answer:`) and the number of
worked examples, not the examples themselves and not how each set is put into that shape; what we chose stands in
docs/evaluation.md. Answers among options are scored by likelihood, all else is written at temperature 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pocketphi.eval.tasks.bbh import bbh, check_bbh, judge_bbh, worked
from pocketphi.eval.tasks.choice import (
    Ask,
    index_of,
    judge_letter,
    judge_truths,
    letter_sets,
    letters,
    one_letter,
    right_letters,
    truth_by_statement,
    truths,
)
from pocketphi.eval.tasks.passages import by_context, by_twins
from pocketphi.eval.tasks.prompt import Format
from pocketphi.eval.tasks.rows import Row, bad_row
from pocketphi.eval.tasks.task import Asked, BenchTask, Choices, Reply, Verdict
from pocketphi.eval.tasks.written import (
    accepted,
    competition_math,
    gsm8k,
    judge_math,
    judge_number,
    judge_option,
    judge_trivia,
    number_of,
    option_after_steps,
    trivia,
)

_LABELS = ("True", "Neither", "False")
MAX_SETS = 10
"""Choices of a row of which several may be right: every set of them is scored."""


def _of_subject(row: Row) -> str:
    return f"The following are multiple choice questions about {row.subset.replace('_', ' ')}."


def _said(text: str) -> Callable[[Row], str]:
    return lambda _: text


def _hypothesis(row: Row) -> Row:
    """The three labels as answers to a question, in their order: entailment, neutral, contradiction."""
    return replace(row, question=f"{row.question} True, false, or neither?", choices=_LABELS)


def _check_hypothesis(row: Row) -> None:
    one_letter(row)
    if len(row.choices) != len(_LABELS):
        raise bad_row(row, f"there are {len(row.choices)} choices, not entailment, neutral and contradiction")


def check_agieval(row: Row) -> None:
    """Raises `UserError` if the row is of none of the kinds in `agieval`."""
    if not row.choices:
        accepted(row)
    elif not isinstance(row.answer, int):
        right_letters(row)
        if len(row.choices) > MAX_SETS:
            raise bad_row(row, f"of {len(row.choices)} choices several may be right; {MAX_SETS} are the most for that")


def agieval(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """By the kind of the row: a letter, letters where several may be right, a result to write where none are given."""
    if not row.choices:
        return competition_math(row, shots, form)
    return (letters() if isinstance(row.answer, int) else letter_sets)(row, shots, form)


def judge_agieval(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`, as the row was asked."""
    return (judge_letter if isinstance(asked, Choices) else judge_math)(row, asked, reply)


def _letters(
    file: str,
    title: str,
    shots: int,
    chance: float,
    ask: Ask | None = None,
    *,
    by_subset: bool = False,
    cluster: Callable[[Row], str] | None = None,
    check: Callable[[Row], object] = one_letter,
) -> BenchTask:
    return BenchTask(
        name=f"phi3_{file}",
        title=title,
        version=1,
        file=file,
        metric="acc",
        shots=shots,
        ask=letters() if ask is None else ask,
        judge=judge_letter,
        chance=chance,
        by_subset=by_subset,
        cluster=cluster,
        check=check,
    )


def _written(
    file: str,
    title: str,
    shots: int,
    ask: Ask,
    judge: Callable[[Row, Asked, Reply], Verdict],
    check: Callable[[Row], object],
    *,
    chance: float = 0.0,
    worked: Callable[[Row], Sequence[Row]] | None = None,
) -> BenchTask:
    return BenchTask(
        name=f"phi3_{file}",
        title=title,
        version=1,
        file=file,
        metric="acc",
        shots=shots,
        ask=ask,
        judge=judge,
        check=check,
        chance=chance,
        worked=worked,
    )


_AGIEVAL = BenchTask(
    name="phi3_agieval",
    title="AGIEval",
    version=1,
    file="agieval",
    metric="acc",
    shots=0,
    ask=agieval,
    judge=judge_agieval,
    check=check_agieval,
    by_subset=True,
    # Of 4166 rows, 1954 have four options, 633 five, 1039 are sets of four (one of 15), 540 are written.
    chance=0.164,
    cluster=by_context,
)

_TRUTHFULQA = BenchTask(
    name="phi3_truthfulqa",
    title="TruthfulQA",
    version=1,
    file="truthfulqa",
    metric="mc2",
    shots=10,
    ask=truths,
    judge=judge_truths,
    check=truth_by_statement,
    # The share of true statements among those of a question, on average.
    chance=0.46,
)

PHI3: tuple[BenchTask, ...] = (
    _letters("mmlu", "MMLU", 5, 0.25, letters(_of_subject), by_subset=True),
    _letters("hellaswag", "HellaSwag", 5, 0.25, letters(_said("Choose how each text goes on."))),
    _letters("anli", "ANLI", 7, 1 / 3, letters(prepare=_hypothesis), cluster=by_context, check=_check_hypothesis),
    _written("gsm8k", "GSM8K", 8, gsm8k, judge_number, number_of),
    _written("math", "MATH", 0, competition_math, judge_math, accepted),
    _letters("medqa", "MedQA", 2, 0.25),
    _AGIEVAL,
    _written("triviaqa", "TriviaQA", 5, trivia, judge_trivia, accepted),
    _letters("arc_challenge", "ARC-C", 10, 0.25),
    _letters("arc_easy", "ARC-E", 10, 0.25),
    _letters("piqa", "PIQA", 5, 0.5),
    _letters("siqa", "SociQA", 5, 1 / 3),
    # Half for two answers, one over the options where there are more, none where words or numbers are written.
    _written("bbh", "BBH", 3, bbh, judge_bbh, check_bbh, chance=0.263, worked=worked),
    _letters(
        "winogrande", "WinoGrande", 5, 0.5, letters(_said("Choose what belongs in the place of `_`.")), cluster=by_twins
    ),
    _letters("openbookqa", "OpenBookQA", 10, 0.25),
    _letters("boolq", "BoolQ", 2, 0.5, cluster=by_context),
    _letters("commonsense_qa", "CommonsenseQA", 10, 0.2),
    _TRUTHFULQA,
)
"""All but the two that run code (`eval.tasks.code`)."""

GPQA = _written("gpqa", "GPQA", 2, option_after_steps, judge_option, index_of, chance=0.25)
"""Its file is the user's: its authors ask not to spread the questions."""
