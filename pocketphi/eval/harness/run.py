"""From a model and tasks to an artifact `benchmarks`: `results.json`, every item, and the page.

Everything that can be refused is refused before the model is asked (`prepare`). A task at which the model then fails,
or that runs code where no sandbox can be built, is left out with a note; the others run.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.evaluator import evaluate as run_harness

from pocketphi.artifact import Artifact, Progress, inputs_digest, is_artifact, no_progress, open_artifact, publish
from pocketphi.errors import UserError
from pocketphi.eval.against import write_against
from pocketphi.eval.contamination import contamination_of, overlap
from pocketphi.eval.harness.adapter import HarnessModel
from pocketphi.eval.harness.answers import open_answers
from pocketphi.eval.harness.prepare import Options, Prepared, Subject, check_lengths, phrase_all, prepare_tasks
from pocketphi.eval.harness.published import PublishedTask
from pocketphi.eval.harness.wrapped import LocalTask, Question
from pocketphi.eval.results import Item, Results, Score, TaskResult, write_items, write_results
from pocketphi.eval.scorecard import write_page
from pocketphi.eval.statistics import score_of
from pocketphi.eval.tasks.prompt import FORMATS
from pocketphi.eval.tasks.task import BenchTask, Choices, Written
from pocketphi.eval.training_texts import Read, read_training_texts
from pocketphi.manifest import file_digest
from pocketphi.runtime.abi import library_path
from pocketphi.version import __version__

_KIND = "benchmarks"
_STAGE = "eval"
_SHOWN = 10_000
"""Characters of a prompt that are kept to be read, at each end."""


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
    numbered: bool = False,
    progress: Progress = no_progress,
) -> Artifact:
    """Measure a model on tasks and publish a `benchmarks`.

    A task at which the backend fails is left out with a note, and `failed` of the summary names it.

    Args:
        numbered: where `out` holds another evaluation, take the first of `out-2`, `out-3`, ... that does not.
        progress: in tasks; its figures name the one that runs and tell the requests done.

    Raises:
        UserError: nothing is left to ask; rows, prompts or settings are refused; `out` holds another evaluation; or the
            backend fails and no task is finished, or `out` is there already. What was answered is kept in
            `options.cache`.
    """
    ready = prepare_tasks(subject, tasks, options)
    read = Read()
    corpus = read_training_texts(options.corpus, read) if options.corpus else None
    settings = _settings(subject, tasks, options)
    settings["files"] = {
        name: digest for each in ready.tasks if isinstance(each, Prepared) for name, digest in each.data.files.items()
    }
    out = _place(out, inputs_digest(_STAGE, settings, options.seed, ()), numbered=numbered)
    with (
        publish(out, kind=_KIND, stage=_STAGE, settings=settings, seed=options.seed) as draft,
        open_answers(options.cache) as answers,
    ):
        model = HarnessModel(subject.backend, answers, name=subject.digest)
        found, failed = _run_all(ready.tasks, options, model, progress)
        if failed and (not found or is_artifact(out)):
            raise next(iter(failed.values()))
        for name, each in found.items():
            write_items(draft.path, name, each.items)
        if corpus is not None:
            _look_for(ready.tasks, found, corpus)
            draft.summary["corpus"] = asdict(read)
        notes = {**ready.left_out, **{name: f"it failed: {error.message}" for name, error in failed.items()}}
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
            | {task.name: _empty(task, notes[task.name]) for task in tasks if task.name in notes},
        )
        write_results(draft.path, results)
        write_against(draft.path, options.against)
        write_page(draft.path, options.against)
        draft.summary.update({name: _headline(each.result) for name, each in found.items()})
        if failed:
            draft.summary["failed"] = list(failed)
        draft.measured["seconds_by_task"] = {name: round(each.seconds, 1) for name, each in found.items()}
    return open_artifact(out, _KIND)


def _place(out: Path, inputs: str, *, numbered: bool) -> Path:
    """Where to put the results, so that no evaluation takes the place of another one."""
    if not is_artifact(out) or open_artifact(out, _KIND).inputs == inputs:
        return out
    if not numbered:
        raise UserError(
            f"`{out}` holds an evaluation with other tasks or settings",
            hint="give another folder with `--out`, or remove that one",
        )
    beside = (out.with_name(f"{out.name}-{number}") for number in itertools.count(2))
    return next(
        place
        for place in beside
        if not place.exists() or (is_artifact(place) and open_artifact(place, _KIND).inputs == inputs)
    )


def _run_all(
    tasks: Sequence[Prepared | PublishedTask], options: Options, model: HarnessModel, progress: Progress
) -> tuple[dict[str, _Found], dict[str, UserError]]:
    """What each task found, and why others failed. A failure that comes twice in a row is not the task's: then the
    rest is not asked."""
    found: dict[str, _Found] = {}
    failed: dict[str, UserError] = {}
    last: str | None = None
    for number, each in enumerate(tasks):
        name = each.task.name if isinstance(each, Prepared) else each.name

        def told(done: int, total: int, number: int = number, name: str = name) -> None:
            progress(number + done / max(1, total), len(tasks), {"task": name, "requests": total})

        model.done = told
        started = time.monotonic()
        try:
            found[name] = _run_local(model, each, options) if isinstance(each, Prepared) else _run(each, options, model)
        except UserError as error:
            failed[name] = error
            if error.message == last:
                rest = [other.task.name if isinstance(other, Prepared) else other.name for other in tasks[number + 1 :]]
                failed.update(dict.fromkeys(rest, error))
                break
            last = error.message
            continue
        last = None
        found[name].seconds = time.monotonic() - started
        progress(number + 1, len(tasks), {"task": name, **_headline(found[name].result)})
    return found, failed


def _settings(subject: Subject, tasks: Sequence[BenchTask | PublishedTask], options: Options) -> dict[str, Any]:
    """All that the result depends on, but for the rows, whose digests stand beside the scores."""
    return {
        "model": subject.digest,
        "backend": subject.kind,
        "context": subject.backend.capabilities.max_context,
        "tasks": {task.name: task.version for task in tasks},
        "limit": options.limit,
        "seed": options.seed,
        "shots": dict(options.shots) if isinstance(options.shots, Mapping) else options.shots,
        "chat": options.chat,
        "formats": options.formats,
    }


def _run_local(model: HarnessModel, prepared: Prepared, options: Options) -> _Found:
    task = prepared.task
    headlines: dict[str, float] = {}
    for form in FORMATS[1 : options.formats]:
        questions = phrase_all(task, prepared.drawn, prepared.rows, form, options)
        check_lengths(model.backend, task, prepared.drawn, questions, options)
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
        prompt=_shortened(prepared.questions[0].prompt.text()),
        prompts_digest=hashlib.sha256("".join(item.prompt_digest for item in items).encode()).hexdigest(),
        files=prepared.data.files,
        scores=scores,
        subsets={
            name: _scores([item for item in items if item.subset == name]) for name in subsets if len(subsets) > 1
        },
        formats=headlines,
    )
    return _Found(result, items)


def _shortened(prompt: str) -> str:
    """Without the middle of a very long one."""
    left = len(prompt) - 2 * _SHOWN
    return prompt if left <= 0 else f"{prompt[:_SHOWN]}\n[... {left:,} characters ...]\n{prompt[-_SHOWN:]}"


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


def _look_for(ready: Sequence[Prepared | PublishedTask], found: Mapping[str, _Found], corpus: Iterable[str]) -> None:
    """Add what the corpus holds of each task's items."""
    rows = {each.task.name: each.rows for each in ready if isinstance(each, Prepared)}
    for name, seen in overlap(rows, corpus).items():
        result = found[name].result
        told = contamination_of(seen, found[name].items, result.metric)
        found[name].result = replace(result, contamination=told)


def _run(task: PublishedTask, options: Options, model: HarnessModel) -> _Found:
    found, items = task.run(model, limit=options.limit, shots=options.shots_of(task.name), chat=options.chat)
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
