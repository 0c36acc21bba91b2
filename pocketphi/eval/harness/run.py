"""From a model and tasks to an artifact `benchmarks`: `results.json`, every item, and the page.

Everything that can be refused is refused before the model is asked: unknown tasks, missing files, bad rows, prompts
that do not fit. A task that runs code where no sandbox can be built is left out with a note, the others run.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.evaluator import evaluate as run_harness

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.errors import UserError
from pocketphi.eval.against import write_against
from pocketphi.eval.contamination import contamination_of, overlap
from pocketphi.eval.harness.adapter import HarnessModel, generate_request, score_request
from pocketphi.eval.harness.answers import open_answers
from pocketphi.eval.harness.published import PublishedTask
from pocketphi.eval.harness.wrapped import LocalTask, Question, phrase
from pocketphi.eval.results import Item, Results, Score, TaskResult, write_items, write_results
from pocketphi.eval.sandbox.run import why_unavailable
from pocketphi.eval.scorecard import write_page
from pocketphi.eval.statistics import score_of
from pocketphi.eval.tasks.examples import Drawn, draw_examples
from pocketphi.eval.tasks.prompt import FORMATS, Format
from pocketphi.eval.tasks.rows import TEST_PARTS, Data, Row, load_data, test_file
from pocketphi.eval.tasks.task import BenchTask, Choices, Written
from pocketphi.eval.training_texts import Read, read_training_texts
from pocketphi.manifest import file_digest
from pocketphi.runtime.abi import library_path
from pocketphi.runtime.backend import Backend
from pocketphi.version import __version__


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
    shots: int | None = None
    """Worked examples instead of each task's own number."""
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


@dataclass(frozen=True)
class _Prepared:
    task: BenchTask
    data: Data
    drawn: Drawn
    rows: tuple[Row, ...]
    questions: tuple[Question, ...]


@dataclass
class _Found:
    result: TaskResult
    items: list[Item] = field(default_factory=list)
    seconds: float = 0.0


def evaluate(
    subject: Subject,
    tasks: Sequence[BenchTask | PublishedTask],
    options: Options,
    out: Path,
    *,
    progress: Progress = no_progress,
) -> Artifact:
    """Measure a model on tasks and publish a `benchmarks`.

    Args:
        progress: in tasks; its figures name the one that runs and tell the requests done.

    Raises:
        UserError: nothing is left to ask; rows, prompts or settings are refused; or the backend fails, and then what
            was answered is kept in `options.cache`.
    """
    left_out = {task.name: why for task in tasks if (why := _refusal(task, options)) is not None}
    ready: list[_Prepared | PublishedTask] = []
    for task in tasks:
        if task.name in left_out:
            continue
        try:
            ready.append(_prepare(subject, task, options) if isinstance(task, BenchTask) else task)
        except UserError as error:
            # Of a group of lengths, those that the model cannot read say nothing about the others.
            if task.name not in options.optional or not isinstance(task, BenchTask) or task.rows is None:
                raise
            left_out[task.name] = error.message
    if not ready:
        raise UserError("; ".join(f"`{name}`: {why}" for name, why in left_out.items()) or "there is nothing to ask")
    read = Read()
    corpus = read_training_texts(options.corpus, read) if options.corpus else None
    settings = _settings(subject, tasks, options)
    settings["files"] = {
        name: digest for each in ready if isinstance(each, _Prepared) for name, digest in each.data.files.items()
    }
    with (
        publish(out, kind="benchmarks", stage="eval", settings=settings, seed=options.seed) as draft,
        open_answers(options.cache) as answers,
    ):
        model = HarnessModel(subject.backend, answers, name=subject.digest)
        found: dict[str, _Found] = {}
        for number, each in enumerate(ready):
            name = each.task.name if isinstance(each, _Prepared) else each.name

            def told(done: int, total: int, number: int = number, name: str = name) -> None:
                progress(number + done / max(1, total), len(ready), {"task": name, "requests": total})

            model.done = told
            started = time.monotonic()
            found[name] = (
                _run_local(subject, each, options, model) if isinstance(each, _Prepared) else _run(each, options, model)
            )
            found[name].seconds = time.monotonic() - started
            write_items(draft.path, name, found[name].items)
            progress(number + 1, len(ready), {"task": name, **_headline(found[name].result)})
        if corpus is not None:
            _look_for(ready, found, corpus)
            draft.summary["corpus"] = asdict(read)
        results = Results(
            model={
                "name": subject.name,
                "digest": subject.digest,
                "backend": subject.kind,
                "context": subject.backend.capabilities.max_context,
                "chat": options.chat,
            },
            code={"pocketphi": __version__, "lm_eval": version("lm_eval")},
            settings=settings,
            tasks={name: one.result for name, one in found.items()}
            | {task.name: _empty(task, left_out[task.name]) for task in tasks if task.name in left_out},
        )
        write_results(draft.path, results)
        write_against(draft.path, options.against)
        write_page(draft.path, options.against)
        draft.summary.update({name: _headline(each.result) for name, each in found.items()})
        draft.measured["seconds_by_task"] = {name: round(each.seconds, 1) for name, each in found.items()}
    return open_artifact(out, "benchmarks")


def _settings(subject: Subject, tasks: Sequence[BenchTask | PublishedTask], options: Options) -> dict[str, Any]:
    """All that the result depends on, but for the rows, whose digests stand beside the scores."""
    return {
        "model": subject.digest,
        "backend": subject.kind,
        "context": subject.backend.capabilities.max_context,
        "tasks": {task.name: task.version for task in tasks},
        "limit": options.limit,
        "seed": options.seed,
        "shots": options.shots,
        "chat": options.chat,
        "formats": options.formats,
    }


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


def _prepare(subject: Subject, task: BenchTask, options: Options) -> _Prepared:
    if options.shots is not None:
        task = replace(task, shots=options.shots)
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
    questions = _phrased(task, drawn, rows, FORMATS[0], options)
    _check_lengths(subject, task, drawn, questions, options)
    return _Prepared(task, data, drawn, rows, questions)


def _order(row: Row) -> bytes:
    return hashlib.sha256(row.id.encode("utf-8", "surrogatepass")).digest()


def _phrased(
    task: BenchTask, drawn: Drawn, rows: Sequence[Row], form: Format, options: Options
) -> tuple[Question, ...]:
    chat = options.chat or task.as_turns
    return tuple(phrase(task, row, drawn.shots(row), form, chat=chat) for row in rows)


def _check_lengths(
    subject: Subject, task: BenchTask, drawn: Drawn, questions: Sequence[Question], options: Options
) -> None:
    """Nothing is cut: a prompt that does not fit stops the run, and says how many examples do."""
    context = subject.backend.capabilities.max_context
    taken = {question.row.id: _tokens(subject.backend, question, context) for question in questions}
    over = [question.row for question in questions if taken[question.row.id] > context]
    if not over:
        return
    fits = next(
        (
            shots
            for shots in range(task.shots - 1, -1, -1)
            if all(
                _tokens(
                    subject.backend,
                    phrase(task, row, drawn.shots(row)[:shots], FORMATS[0], chat=options.chat or task.as_turns),
                    context,
                )
                <= context
                for row in over
            )
        ),
        None,
    )
    hint = f"`--shots {fits}` fits" if fits is not None else "not even the bare questions fit"
    raise UserError(
        f"`{task.name}`: {len(over):,} of {len(questions):,} prompts with {task.shots} examples do not fit in "
        f"a context of {context:,} tokens; the longest takes {max(taken.values()):,}",
        hint=f"{hint}; or take a larger `--context`",
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


def _run_local(subject: Subject, prepared: _Prepared, options: Options, model: HarnessModel) -> _Found:
    task = prepared.task
    headlines: dict[str, float] = {}
    for form in FORMATS[1 : options.formats]:
        questions = _phrased(task, prepared.drawn, prepared.rows, form, options)
        _check_lengths(subject, task, prepared.drawn, questions, options)
        items = _asked(task, questions, model)
        headlines[form.name] = _scores(items)[task.metric].value
    items = _asked(task, prepared.questions, model)
    scores = _scores(items)
    if headlines:
        headlines = {FORMATS[0].name: scores[task.metric].value, **headlines}
    subsets = sorted({item.subset for item in items} - {""})
    result = TaskResult(
        name=task.name,
        title=task.title,
        version=task.version,
        metric=task.metric,
        shots=task.shots,
        form=FORMATS[0].name + (", chat" if options.chat or task.as_turns else ""),
        chance=task.chance,
        prompts_digest=hashlib.sha256("".join(item.prompt_digest for item in items).encode()).hexdigest(),
        files=prepared.data.files,
        scores=scores,
        subsets={
            name: _scores([item for item in items if item.subset == name]) for name in subsets if len(subsets) > 1
        },
        formats=headlines,
    )
    return _Found(result, items)


def _asked(task: BenchTask, questions: Sequence[Question], model: HarnessModel) -> list[Item]:
    """A task of the harness is of one kind: what is scored and what is written go through it one after the other."""
    items: dict[str, Item] = {}
    for kind in (Choices, Written):
        if of_kind := [question for question in questions if isinstance(question.asked, kind)]:
            wrapped = LocalTask(task, of_kind)
            found = {"tasks": {task.name: wrapped}, "groups": {}}
            run_harness(lm=model, task_dict=found, bootstrap_iters=0, log_samples=False)
            items.update(wrapped.items)
    return [items[question.row.id] for question in questions]


def _look_for(ready: Sequence[_Prepared | PublishedTask], found: Mapping[str, _Found], corpus: Iterable[str]) -> None:
    """Add what the corpus holds of each task's items."""
    rows = {each.task.name: each.rows for each in ready if isinstance(each, _Prepared)}
    for name, seen in overlap(rows, corpus).items():
        result = found[name].result
        told = contamination_of(seen, found[name].items, result.metric)
        found[name].result = replace(result, contamination=told)


def _run(task: PublishedTask, options: Options, model: HarnessModel) -> _Found:
    found, items = task.run(model, limit=options.limit, shots=options.shots, chat=options.chat)
    return _Found(found, items)


def _scores(items: Sequence[Item]) -> dict[str, Score]:
    metrics = list(dict.fromkeys(metric for item in items for metric in item.scores))
    return {
        metric: score_of(
            [item.scores[metric] for item in items if metric in item.scores],
            [item.cluster for item in items if metric in item.scores],
        )
        for metric in metrics
    }


def _headline(result: TaskResult) -> Mapping[str, float]:
    score = result.scores.get(result.metric)
    return {} if score is None else {result.metric: score.value, "standard_error": score.standard_error}


def _empty(task: BenchTask | PublishedTask, why: str) -> TaskResult:
    return TaskResult(
        name=task.name,
        title=task.title,
        version=task.version,
        metric=task.metric,
        shots=task.shots,
        form="",
        chance=None,
        prompts_digest="",
        files={},
        scores={},
        subsets={},
        note=why,
    )


def answers_path(folder: Path, subject: Subject) -> Path:
    """Where the answers of a model are kept: by all that may change one, also by the build that computes them, since
    an engine that is worked on keeps its version."""
    story = [subject.kind, subject.digest, subject.backend.capabilities.max_context, __version__, _computed_by(subject)]
    return folder / f"{hashlib.sha256(json.dumps(story).encode()).hexdigest()[:32]}.sqlite"


def _computed_by(subject: Subject) -> str:
    """The library that a backend computes with; nothing is known of an endpoint's."""
    if subject.kind.startswith("native"):
        return file_digest(library_path())
    return version("torch") if subject.kind == "torch" else ""
