"""Multiple choice by likelihood.

`letters`: the options stand in the prompt and the letter is scored, as in the report's prompts (Appendix A). `cloze`:
each option is scored as what follows the question, as most published zero-shot figures are; `acc_norm` divides its
log-likelihood by its length in characters, so that long options are not at a loss.
"""

import hashlib
import math
from collections.abc import Callable, Sequence

from pocketphi.eval.tasks.prompt import LETTERS, Format, Prompt, Turn, options
from pocketphi.eval.tasks.rows import Row
from pocketphi.eval.tasks.task import Asked, Choices, Likelihood, Reply, Verdict

Instruct = Callable[[Row], str]


def letters(instruction: Instruct | None = None) -> Callable[[Row, Sequence[Row], Format], Asked]:
    """Ask for the letter of an option.

    Args:
        instruction: what stands before the examples.
    """

    def ask(row: Row, shots: Sequence[Row], form: Format) -> Asked:
        prompt = Prompt(
            question=question_of(row, form),
            shots=tuple(Turn(question=question_of(shot, form), answer=LETTERS[index_of(shot)]) for shot in shots),
            instruction="" if instruction is None else instruction(row),
            cue=form.cue,
            line=form.line,
            example=form.example,
        )
        names = tuple(LETTERS[: len(row.choices)])
        gap = "" if form.cue[-1:].isspace() else " "
        return Choices(asked=tuple((prompt, gap + name) for name in names), labels=names)

    return ask


def cloze(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Ask how well each option goes on."""
    turns = tuple(Turn(question=_plain(shot, form), answer=shot.choices[index_of(shot)]) for shot in shots)
    prompt = Prompt(question=_plain(row, form), shots=turns, cue=form.cue, line=form.line, example=form.example)
    return Choices(asked=tuple((prompt, f" {choice}") for choice in row.choices), labels=tuple(row.choices))


def judge_choice(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc` for the likeliest, `acc_norm` for the likeliest by character."""
    assert isinstance(asked, Choices)
    likelihoods = likelihoods_of(reply)
    right = index_of(row)
    # Without the space before it: how long an option is, is a matter of its own text.
    by_character = [
        each.logprob / max(1, len(text.lstrip())) for each, (_, text) in zip(likelihoods, asked.asked, strict=True)
    ]
    best = max(range(len(likelihoods)), key=lambda index: likelihoods[index].logprob)
    best_norm = max(range(len(by_character)), key=by_character.__getitem__)
    return Verdict(
        scores={"acc": float(best == right), "acc_norm": float(best_norm == right)},
        answer=asked.labels[best],
        expected=asked.labels[right],
        probabilities=softmax([each.logprob for each in likelihoods]),
    )


def shuffled(row: Row) -> Row:
    """The row with its choices in an order drawn from its id: some files always have the right one first."""
    order = sorted(range(len(row.choices)), key=lambda i: hashlib.sha256(f"{row.id}/{i}".encode()).digest())
    return Row(
        id=row.id,
        question=row.question,
        answer=order.index(index_of(row)),
        subset=row.subset,
        split=row.split,
        context=row.context,
        choices=tuple(row.choices[index] for index in order),
        meta=row.meta,
    )


def question_of(row: Row, form: Format) -> str:
    """A question with its passage above and its options below."""
    head = f"{row.context}{form.line}" if row.context else ""
    return head + options(row.question, row.choices, form)


def index_of(row: Row) -> int:
    """The index of the right choice."""
    assert isinstance(row.answer, int)
    return row.answer


def likelihoods_of(reply: Reply) -> tuple[Likelihood, ...]:
    """A reply to `Choices`."""
    assert not isinstance(reply, str)
    return reply


def softmax(values: Sequence[float]) -> tuple[float, ...]:
    """Of log-likelihoods, so that choices sum to 1."""
    highest = max(values)
    weights = [math.exp(value - highest) for value in values]
    return tuple(weight / sum(weights) for weight in weights)


def _plain(row: Row, form: Format) -> str:
    head = f"{row.context}{form.line}" if row.context else ""
    return f"{head}{form.question}{row.question}"
