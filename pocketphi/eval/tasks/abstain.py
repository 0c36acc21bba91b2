"""The right to abstain: LAB-Bench (Laurent et al. 2024, arXiv 2407.10362).

Every question has one option more, that there is not enough information to answer it, among the others in an order
drawn from the row's id (the files have the right one first). Choosing it is no answer, so three figures belong
together: `acc` is right of all, `coverage` answered of all, `precision` right of answered.
"""

from collections.abc import Sequence
from dataclasses import replace

from pocketphi.eval.tasks.choice import index_of, judge_letter, letters, shuffled
from pocketphi.eval.tasks.prompt import LETTERS, Format
from pocketphi.eval.tasks.rows import MAX_CHOICES, Row, bad_row
from pocketphi.eval.tasks.task import Asked, BenchTask, Reply, Verdict

ABSTAIN = "Insufficient information to answer the question"


def with_abstention(row: Row) -> Row:
    """The row with the option to abstain, shuffled by its id; the answer points to the same text as before."""
    return shuffled(row if ABSTAIN in row.choices else replace(row, choices=(*row.choices, ABSTAIN)))


def check_room(row: Row) -> None:
    """Raises `UserError` if no choice is the right one, or no letter is left for the option to abstain."""
    index_of(row)
    if len(row.choices) == MAX_CHOICES and ABSTAIN not in row.choices:
        raise bad_row(row, f"there are {MAX_CHOICES} choices, and no letter is left for `{ABSTAIN}`")


def ask_or_abstain(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Ask for the letter of an option, one of which is to abstain."""
    return letters()(with_abstention(row), [with_abstention(shot) for shot in shots], form)


def judge_or_abstain(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc` and `coverage` for every item, `precision` for those that were answered."""
    given = with_abstention(row)
    verdict = judge_letter(given, asked, reply)
    right = verdict.scores["acc"]
    if verdict.answer == LETTERS[given.choices.index(ABSTAIN)]:
        return replace(verdict, scores={"acc": right, "coverage": 0.0})
    return replace(verdict, scores={"acc": right, "coverage": 1.0, "precision": right})


LAB_BENCH = BenchTask(
    name="lab_bench",
    title="LAB-Bench",
    version=1,
    file="lab_bench",
    metric="acc",
    shots=0,
    ask=ask_or_abstain,
    judge=judge_or_abstain,
    check=check_room,
)
