"""What is measured and how, and all that can be refused before the model is asked: unknown files, bad rows, prompts
that do not fit. Every task is looked at first, so that one message tells of all of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pocketphi.errors import UserError
from pocketphi.eval.harness.adapter import generate_request, score_request
from pocketphi.eval.harness.published import PublishedTask
from pocketphi.eval.harness.wrapped import Question, phrase
from pocketphi.eval.sandbox.run import why_unavailable
from pocketphi.eval.tasks.examples import Drawn, draw_examples
from pocketphi.eval.tasks.prompt import FORMATS, Format
from pocketphi.eval.tasks.rows import TEST_PARTS, Data, Row, load_data, test_file
from pocketphi.eval.tasks.task import BenchTask
from pocketphi.runtime.backend import Backend


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is measured."""

    backend: Backend
    name: str
    digest: str
    """SHA-256 of its weights; of the address for an endpoint."""
    kind: str
    """`native`, `native-16` (the engine with activations of 16 bits), `torch` or `endpoint`."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How it is measured."""

    data: Path | None = None
    """Folder of benchmark files."""
    limit: int | None = None
    """Items of each task, at most: those whose digest comes first, the same for every model."""
    shots: int | Mapping[str, int] | None = None
    """Worked examples instead of each task's own number: for all, or by task."""
    seed: int = 1
    """Draws worked examples."""
    chat: bool = False
    """Ask in the model's chat form."""
    optional: frozenset[str] = frozenset()
    """Tasks that are left out, with a note, where there is no file of theirs, or where they are generated and do not
    fit: those that only a group named."""
    formats: int = 1
    """Prompt formats to try; the headline is that of the first, the report's."""
    corpus: tuple[Path, ...] = ()
    """What the model was trained on, to look for the items in."""
    against: tuple[Path, ...] = ()
    """Finished evaluations to compare with, item by item: on the page and in `against-NAME.json`."""
    cache: Path | None = None
    """File of answers; None keeps none."""

    def shots_of(self, task: str) -> int | None:
        """Worked examples of a task, if they are not its own number."""
        return self.shots.get(task) if isinstance(self.shots, Mapping) else self.shots


@dataclass(frozen=True)
class Prepared:
    """A task with everything that it asks."""

    task: BenchTask
    data: Data
    drawn: Drawn
    rows: tuple[Row, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Ready:
    """What will be asked."""

    tasks: tuple[Prepared | PublishedTask, ...]
    left_out: Mapping[str, str]
    """Task -> why it is not."""


class TooLongError(UserError):
    """Prompts of a task do not fit in the context.

    Args:
        fits: how many worked examples do; None if not even none.
    """

    def __init__(self, message: str, *, task: str, fits: int | None) -> None:
        way = "not even the bare questions fit" if fits is None else f"`--shots {task}={fits}` fits"
        super().__init__(message, hint=f"{way}; or take a larger `--context`")
        self.task = task
        self.fits = fits


def prepare_tasks(subject: Subject, tasks: Sequence[BenchTask | PublishedTask], options: Options) -> Ready:
    """Read, draw and phrase everything.

    Raises:
        UserError: nothing is left to ask, or rows, prompts or settings are refused; it names every task that is.
    """
    left_out = {task.name: why for task in tasks if (why := _refusal(task, options)) is not None}
    ready: list[Prepared | PublishedTask] = []
    refused: list[UserError] = []
    for task in tasks:
        if task.name in left_out:
            continue
        try:
            ready.append(_prepare(subject, task, options) if isinstance(task, BenchTask) else task)
        except UserError as error:
            # Of a group of lengths, those that the model cannot read say nothing about the others.
            if task.name in options.optional and isinstance(task, BenchTask) and task.rows is not None:
                left_out[task.name] = error.message
            else:
                refused.append(error)
    if refused:
        raise _together(refused)
    if not ready:
        raise UserError("; ".join(f"`{name}`: {why}" for name, why in left_out.items()) or "there is nothing to ask")
    return Ready(tuple(ready), left_out)


def _together(refused: Sequence[UserError]) -> UserError:
    """One error for several tasks; where fewer examples would do, with the option that says so."""
    if len(refused) == 1:
        return refused[0]
    message = f"{len(refused)} tasks cannot be asked: " + "; ".join(error.message for error in refused)
    fits = {error.task: error.fits for error in refused if isinstance(error, TooLongError)}
    if len(fits) < len(refused) or None in fits.values():
        return UserError(message, hint=next((error.hint for error in refused if error.hint is not None), None))
    shots = ",".join(f"{task}={number}" for task, number in fits.items())
    return UserError(message, hint=f"`--shots {shots}` fits; or take a larger `--context`")


def _refusal(task: BenchTask | PublishedTask, options: Options) -> str | None:
    """Why a task is left out, if it is."""
    if isinstance(task, PublishedTask):
        without = "it runs what a model wrote without a sandbox; phi3_humaneval and phi3_mbpp run it in ours"
        return without if task.runs_code else None
    is_optional = task.name in options.optional and task.rows is None
    if is_optional and options.data is not None and test_file(options.data, task.file) is None:
        return f"there is no `{task.file}.{TEST_PARTS[0]}.jsonl.gz` in the data folder"
    if not task.runs_code:
        return None
    why = why_unavailable()
    return None if why is None else f"it runs what the model wrote, and there is no sandbox here: {why}"


def _prepare(subject: Subject, task: BenchTask, options: Options) -> Prepared:
    if (shots := options.shots_of(task.name)) is not None:
        task = replace(task, shots=shots)
    if task.rows is not None:
        data = Data(test=task.rows(), train=(), files={})
    elif options.data is None:
        raise UserError(
            f"`{task.name}` reads local files, and there is no folder of them",
            hint="give it with `--data FOLDER`; docs/evaluation.md tells the form of the files",
        )
    else:
        data = load_data(options.data, task.file)
    drawn = draw_examples(task, data, seed=options.seed)
    rows = drawn.test if options.limit is None else tuple(sorted(drawn.test, key=_order)[: options.limit])
    questions = phrase_all(task, drawn, rows, FORMATS[0], options)
    check_lengths(subject.backend, task, drawn, questions, options)
    return Prepared(task, data, drawn, rows, questions)


def _order(row: Row) -> bytes:
    return hashlib.sha256(row.id.encode("utf-8", "surrogatepass")).digest()


def phrase_all(
    task: BenchTask, drawn: Drawn, rows: Sequence[Row], form: Format, options: Options
) -> tuple[Question, ...]:
    chat = options.chat or task.as_turns
    return tuple(phrase(task, row, drawn.shots(row), form, chat=chat) for row in rows)


def check_lengths(
    backend: Backend, task: BenchTask, drawn: Drawn, questions: Sequence[Question], options: Options
) -> None:
    """Nothing is cut: a prompt that does not fit stops the run, and says how many examples do."""
    context = backend.capabilities.max_context
    taken = {question.row.id: _tokens(backend, question, context) for question in questions}
    over = [question.row for question in questions if taken[question.row.id] > context]
    if not over:
        return
    fits = next(
        (
            shots
            for shots in range(task.shots - 1, -1, -1)
            if all(
                _tokens(
                    backend,
                    phrase(task, row, drawn.shots(row)[:shots], FORMATS[0], chat=options.chat or task.as_turns),
                    context,
                )
                <= context
                for row in over
            )
        ),
        None,
    )
    raise TooLongError(
        f"`{task.name}`: {len(over):,} of {len(questions):,} prompts with {task.shots} examples do not fit in "
        f"a context of {context:,} tokens; the longest takes {max(taken.values()):,}",
        task=task.name,
        fits=fits,
    )


def _tokens(backend: Backend, question: Question, context: int) -> int:
    """Tokens that the longest request of a question takes, or an upper bound that is within the context."""
    longest = 0
    for prompt, rest in question.prompts:
        is_scored = isinstance(rest, str)
        # A token stands for a byte at least; templates and BOS add a few.
        bound = len(prompt.encode("utf-8", "replace")) + 64
        bound += len(rest.encode("utf-8", "replace")) if is_scored else int(rest["max_gen_toks"])
        if bound > context:
            request = score_request(prompt, rest) if is_scored else generate_request(prompt, rest)
            length = backend.length(request)
            if length is not None:
                bound = length + (0 if is_scored else int(rest["max_gen_toks"]))
            else:
                bound = 0  # an endpoint that does not tell refuses by itself
        longest = max(longest, bound)
    return longest
