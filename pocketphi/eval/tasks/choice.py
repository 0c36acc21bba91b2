"""Multiple choice by likelihood.

`letters`: the options stand in the prompt and the letter is scored, as in the report's prompts (Appendix A). `cloze`:
each option is scored as what follows the question, as most published zero-shot figures are; `acc_norm` divides its
log-likelihood by its length in characters, so that long options are not at a loss. `truths` scores statements that are
true or false each by itself (TruthfulQA's MC2, Lin et al. 2022, arXiv 2109.07958).
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

from pocketphi.eval.tasks.prompt import LETTERS, Format, Prompt, Turn, options
from pocketphi.eval.tasks.rows import Row, bad_row
from pocketphi.eval.tasks.task import Asked, Choices, Likelihood, Reply, Verdict

Ask = Callable[[Row, Sequence[Row], Format], Asked]


def as_it_is(row: Row) -> Row:
    """The row, unchanged."""
    return row


def letters(instruction: Callable[[Row], str] | None = None, prepare: Callable[[Row], Row] = as_it_is) -> Ask:
    """Ask for the letter of an option.

    Args:
        instruction: what stands before the examples.
        prepare: says a row in other words; its options keep their order.
    """

    def ask(row: Row, shots: Sequence[Row], form: Format) -> Asked:
        prompt = written_prompt(
            question_of(prepare(row), form),
            [Turn(question=question_of(prepare(shot), form), answer=right_letters(shot)) for shot in shots],
            form,
            instruction="" if instruction is None else instruction(row),
        )
        names = tuple(LETTERS[: len(row.choices)])
        return Choices(asked=tuple((prompt, gap(form) + name) for name in names), labels=names)

    return ask


def letter_sets(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Ask for the letters of all right options, of which there may be several.

    The line's end belongs to what is scored: without it `A` would always be likelier than `AB`, which begins with it.
    """
    prompt = written_prompt(
        question_of(row, form),
        [Turn(question=question_of(shot, form), answer=right_letters(shot)) for shot in shots],
        form,
        instruction="Several options can be right. Answer with the letters of all that are, such as AC.",
    )
    names = LETTERS[: len(row.choices)]
    sets = ["".join(some) for count in range(1, len(names) + 1) for some in combinations(names, count)]
    return Choices(asked=tuple((prompt, f"{gap(form)}{some}\n") for some in sets), labels=tuple(sets))


def cloze(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Ask how well each option goes on."""
    prompt = written_prompt(_plain(row, form), [_told(shot, form) for shot in shots], form)
    return Choices(asked=tuple((prompt, gap(form) + choice) for choice in row.choices), labels=tuple(row.choices))


def truths(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """Ask how likely each statement of `meta.mc2` is, true ones and false ones."""
    prompt = written_prompt(_plain(row, form), [_told(shot, form) for shot in shots], form)
    statements = tuple(truth_by_statement(row))
    return Choices(asked=tuple((prompt, gap(form) + text) for text in statements), labels=statements)


def judge_choice(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc` for the likeliest, `acc_norm` for the likeliest by character; the first of equals."""
    assert isinstance(asked, Choices)
    likelihoods = likelihoods_of(reply)
    right = asked.labels.index(right_letters(row)) if not isinstance(row.answer, int) else row.answer
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


def judge_letter(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc` alone: where letters are scored, or what follows all options is the same, length says nothing."""
    verdict = judge_choice(row, asked, reply)
    return replace(verdict, scores={"acc": verdict.scores["acc"]})


def judge_truths(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`mc2`: the probability of the true statements among all; `mc1`: whether the best one beats all false ones."""
    assert isinstance(asked, Choices)
    truth = truth_by_statement(row)
    probabilities = softmax([each.logprob for each in likelihoods_of(reply)])
    by_statement = dict(zip(asked.labels, probabilities, strict=True))
    best = row.choices[index_of(row)]
    wrong = max(value for text, value in by_statement.items() if not truth[text])
    return Verdict(
        scores={
            "mc2": min(1.0, math.fsum(value for text, value in by_statement.items() if truth[text])),
            "mc1": float(by_statement[best] > wrong),
        },
        answer=max(by_statement, key=by_statement.__getitem__),
        expected=best,
        probabilities=probabilities,
    )


def shuffled(row: Row) -> Row:
    """The row with its choices in an order drawn from its id: some files always have the right one first."""
    order = sorted(range(len(row.choices)), key=lambda i: hashlib.sha256(f"{row.id}/{i}".encode()).digest())
    return replace(row, answer=order.index(index_of(row)), choices=tuple(row.choices[index] for index in order))


def question_of(row: Row, form: Format) -> str:
    """A question with its passage above and its options below."""
    head = f"{row.context}{form.line}" if row.context else ""
    return head + options(row.question, row.choices, form)


def written_prompt(question: str, shots: Sequence[Turn], form: Format, *, instruction: str = "") -> Prompt:
    """A prompt in the signs of a format."""
    return Prompt(
        question=question,
        shots=tuple(shots),
        instruction=instruction,
        cue=form.cue,
        line=form.line,
        example=form.example,
    )


def gap(form: Format) -> str:
    """What stands between the cue and an answer."""
    return "" if form.cue[-1:].isspace() else " "


def index_of(row: Row) -> int:
    """The index of the right choice.

    Raises:
        UserError: the row has a text for an answer, and the task wants an index.
    """
    if not isinstance(row.answer, int):
        raise bad_row(row, "`answer` must be the index of a choice")
    return row.answer


def right_letters(row: Row) -> str:
    """The letter of the right choice; of several right ones (`["A", "C"]`, `"A C"`) their letters in order: `AC`.

    Raises:
        UserError: the answer is no letter of a choice.
    """
    if isinstance(row.answer, int):
        return LETTERS[row.answer]
    found = set(re.findall(r"\w", row.answer if isinstance(row.answer, str) else " ".join(row.answer)))
    if not found or not found <= set(LETTERS[: len(row.choices)]):
        raise bad_row(row, f"`answer` must be letters of its {len(row.choices)} choices")
    return "".join(sorted(found))


def one_letter(row: Row) -> str:
    """The letter of the one right choice. Raises `UserError` if there is none, or several are right."""
    found = right_letters(row)
    if len(found) > 1:
        raise bad_row(row, f"`answer` names {len(found)} choices, and one can be chosen")
    return found


def likelihoods_of(reply: Reply) -> tuple[Likelihood, ...]:
    """A reply to `Choices`."""
    assert not isinstance(reply, str)
    return reply


def softmax(values: Sequence[float]) -> tuple[float, ...]:
    """Of log-likelihoods, so that choices sum to 1; all alike if each is impossible."""
    highest = max(values)
    if highest == -math.inf:
        return (1 / len(values),) * len(values)
    weights = [math.exp(value - highest) for value in values]
    whole = math.fsum(weights)
    return tuple(weight / whole for weight in weights)


def _plain(row: Row, form: Format) -> str:
    head = f"{row.context}{form.line}" if row.context else ""
    return f"{head}{form.question}{row.question}"


def _told(shot: Row, form: Format) -> Turn:
    return Turn(question=_plain(shot, form), answer=shot.choices[index_of(shot)])


def truth_by_statement(row: Row) -> dict[str, bool]:
    """What `meta.mc2` says. Raises `UserError` unless it has true statements, the right choice too, and false ones."""
    truth = row.meta.get("mc2")
    if not isinstance(truth, dict) or sorted({str(value) for value in truth.values()}) != ["0", "1"]:
        raise bad_row(row, "`meta.mc2` must name true statements (1) and false ones (0)")
    if row.choices[index_of(row)] not in truth:
        raise bad_row(row, "the right choice is not in `meta.mc2`")
    return {str(text): bool(value) for text, value in truth.items()}
