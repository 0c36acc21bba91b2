"""The benchmarks of small models in the form in which their zero-shot figures are mostly published.

No options in the prompt: each is scored as what follows. The prompts are those of lm-evaluation-harness' own tasks,
character for character (a test renders the harness' templates and compares), written down here again because ours are
asked from local rows. Some things local files do not tell: HellaSwag's two halves of a context are joined already
(`_hellaswag`), and BoolQ's passages lack the title in front of them.

Other formats change the signs where the harness has `Question:` and `Answer:`; the rest has one form only.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from pocketphi.eval.tasks.choice import (
    Ask,
    as_it_is,
    cloze,
    gap,
    index_of,
    judge_choice,
    judge_letter,
    letters,
    one_letter,
    written_prompt,
)
from pocketphi.eval.tasks.passages import by_context, by_twins
from pocketphi.eval.tasks.prompt import Format, Prompt, Turn
from pocketphi.eval.tasks.rows import Row, bad_row
from pocketphi.eval.tasks.task import Asked, BenchTask, Choices

GAP = "_"
_MARK = re.compile(r"\[.*?\]")
_LAST_SENTENCE = re.compile(r"(?<=[.!?:] )[^.!?]*[^.!?\s]$")
_SHORT = Format(name="short", question="Q: ", cue="A:")
_NO_SIGNS = Format(name="bare", question="", cue="")


def _hellaswag(row: Row) -> Row:
    """Without what is left of WikiHow's marks, and with a capital where the second half of the context begins.

    The second half is the unfinished sentence at the end, if there is one: the rest of it is small letters.
    """
    question = _cleaned(row.question)
    half = _LAST_SENTENCE.search(question)
    if half is not None and half[0][0].islower():
        question = question[: half.start()] + half[0].capitalize()
    return replace(row, question=question, choices=tuple(_cleaned(choice) for choice in row.choices))


def _cleaned(text: str) -> str:
    text = text.strip().replace(" [title]", ". ")
    return _MARK.sub("", text).replace("  ", " ")


def _in(form: Format, prepare: Callable[[Row], Row] = as_it_is) -> Ask:
    """A `cloze` that always has the same signs."""

    def ask(row: Row, shots: Sequence[Row], given: Format) -> Asked:
        del given
        return cloze(prepare(row), [prepare(shot) for shot in shots], form)

    return ask


def _winogrande(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """What follows the gap is scored after each filling of it (Trinh and Le 2018, arXiv 1806.02847)."""
    before, rest = _halves(row)
    told = tuple(
        Turn(question=shot.question.replace(GAP, shot.choices[index_of(shot)], 1), answer="") for shot in shots
    )
    prompts = (
        Prompt(question=before + choice, shots=told, cue="", line=form.line, example=form.example)
        for choice in row.choices
    )
    return Choices(asked=tuple((prompt, f" {rest}") for prompt in prompts), labels=row.choices)


def _halves(row: Row) -> tuple[str, str]:
    before, gap_found, rest = row.question.partition(GAP)
    if not gap_found or not rest.strip():
        raise bad_row(row, f"the question must have a gap `{GAP}` and go on behind it")
    return before, rest.strip()


def _boolq(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    def asked(each: Row) -> str:
        return f"{each.context}{form.line}{form.question}{each.question.removesuffix('?')}?"

    told = [Turn(question=asked(shot), answer=shot.choices[index_of(shot)]) for shot in shots]
    prompt = written_prompt(asked(row), told, form)
    return Choices(asked=tuple((prompt, gap(form) + choice) for choice in row.choices), labels=row.choices)


def _commonsense_qa(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """The one with options and letters: so the harness asks it."""
    return letters(prepare=_stripped)(row, shots, replace(form, options=None))


def _stripped(row: Row) -> Row:
    return replace(row, question=row.question.strip())


def _task(
    file: str,
    title: str,
    ask: Ask,
    chance: float,
    *,
    metric: str = "acc_norm",
    cluster: Callable[[Row], str] | None = None,
) -> BenchTask:
    return BenchTask(
        name=f"cloze_{file}",
        title=title,
        version=1,
        file=file,
        metric=metric,
        shots=0,
        ask=ask,
        judge=judge_choice if metric == "acc_norm" else judge_letter,
        chance=chance,
        cluster=cluster,
        check=one_letter if ask is _commonsense_qa else index_of,
    )


CLOZE: tuple[BenchTask, ...] = (
    _task("hellaswag", "HellaSwag", _in(_NO_SIGNS, _hellaswag), 0.25),
    _task("piqa", "PIQA", cloze, 0.5),
    _task("arc_easy", "ARC-E", cloze, 0.25),
    _task("arc_challenge", "ARC-C", cloze, 0.25),
    _task("openbookqa", "OpenBookQA", _in(_NO_SIGNS), 0.25),
    _task("winogrande", "WinoGrande", _winogrande, 0.5, metric="acc", cluster=by_twins),
    _task("boolq", "BoolQ", _boolq, 0.5, metric="acc", cluster=by_context),
    _task("siqa", "SociQA", _in(_SHORT), 1 / 3, metric="acc"),
    _task("commonsense_qa", "CommonsenseQA", _commonsense_qa, 0.2, metric="acc"),
)
