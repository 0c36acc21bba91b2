"""Is a folder of `pocketphi eval` as it was left? Every score computed again from the items, every file's digest.

What somebody changes by hand shows in one of three ways: a file's digest differs from the manifest's; a score is not
that of its items; an item is at odds with itself, as where it is scored right and another choice was made. Somebody
who changes all of them in step is not found out: that takes asking the model again, and a run with the same settings
gives the same bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from pocketphi.errors import UserError, reason_of, shown
from pocketphi.eval.results import ITEMS, RESULTS, Item, Score, TaskResult, read_items, read_results
from pocketphi.eval.statistics import scores_of
from pocketphi.eval.tasks.choice import softmax
from pocketphi.manifest import MANIFEST, file_digest, problem_of

_MOST = 5
"""Items of a task that are named."""
_ROUNDING = 1e-9


def holds_results(folder: Path) -> bool:
    """Whether this is what `pocketphi eval` leaves, judged by the names in it."""
    return (folder / RESULTS).is_file() and (folder / ITEMS).is_dir()


def verify_results(folder: Path) -> list[str]:
    """What was changed since the run, in words; empty if nothing was.

    Raises:
        UserError: the results or the items of a task cannot be read at all.
    """
    found = list(_changed_files(folder))
    for name, task in read_results(folder).tasks.items():
        if task.scores:
            found += [f"{name}: {what}" for what in problems_of(task, list(read_items(folder, name)))]
    return found


def refuse_changed(folder: Path) -> None:
    """Raise `UserError` with all that was changed, if anything was."""
    found = verify_results(folder)
    if found:
        raise UserError(
            f"`{folder}` was changed after it was made: {'; '.join(found)}", hint="run the evaluation again"
        )


def problems_of(task: TaskResult, items: Sequence[Item]) -> Iterator[str]:
    """Where a task's result is not that of its items."""
    digest = hashlib.sha256("".join(item.prompt_digest for item in items).encode()).hexdigest()
    if task.prompts_digest != digest:
        yield "`prompts_digest` is not that of the items' prompts"
    for metric, score in task.scores.items():
        if not any(_is_same(score, other) for other in _recomputed(task, metric, items)):
            yield f"`{metric}` {_told(score, _recomputed(task, metric, items))}"
    for subset, scores in task.subsets.items():
        own = scores_of([item for item in items if item.subset == subset])
        for metric, score in scores.items():
            if metric not in own or not _is_same(score, own[metric]):
                yield f"`{metric}` of `{shown(subset)}` {_told(score, [own[metric]] if metric in own else [])}"
    odd = [f"item `{shown(item.id)}`: {why}" for item in items if (why := _contradiction(item)) is not None]
    yield from odd[:_MOST]
    if len(odd) > _MOST:
        yield f"and {len(odd) - _MOST:,} more items"


def _changed_files(folder: Path) -> Iterator[str]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        problem = problem_of(manifest)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read `{folder / MANIFEST}`: {reason_of(error)}") from error
    if problem is not None:
        yield f"`{MANIFEST}`: {problem}"
        return
    files = manifest["files"]
    for name, file in files.items():
        path = folder / name
        if not path.is_file():
            yield f"`{shown(name)}` is missing"
        elif file_digest(path) != file["sha256"]:
            yield f"`{shown(name)}` was changed"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(there - files.keys() - {MANIFEST}):
        if PurePosixPath(name).parts[0] == ITEMS:
            yield f"`{shown(name)}` was added"


def _recomputed(task: TaskResult, metric: str, items: Sequence[Item]) -> list[Score]:
    """What the score may be. The harness's own tasks judge an item once by each of their filters: `id/filter`."""
    name, _, kind = metric.partition(", ")
    if not task.form.startswith("lm-eval"):
        groups = [list(items)]
    else:
        kinds = {kind} if kind else {item.id.rpartition("/")[2] for item in items if "/" in item.id}
        groups = [list(items), *([item for item in items if item.id.endswith(f"/{each}")] for each in sorted(kinds))]
        metric = name
    found = [scores_of([item for item in group if metric in item.scores]) for group in groups]
    return [scores[metric] for scores in found if metric in scores]


def _is_same(score: Score, other: Score) -> bool:
    pairs = zip(
        (score.value, score.standard_error, score.low, score.high),
        (other.value, other.standard_error, other.low, other.high),
        strict=True,
    )
    return score.count == other.count and all(abs(a - b) <= _ROUNDING * max(1.0, abs(b)) for a, b in pairs)


def _told(score: Score, others: Sequence[Score]) -> str:
    said = f"is {score.value:.6g} ± {score.standard_error:.3g} of {score.count:,}"
    if not others:
        return f"{said}, and no item has it"
    return f"{said}, its items give {others[0].value:.6g} ± {others[0].standard_error:.3g} of {others[0].count:,}"


def _contradiction(item: Item) -> str | None:
    """What an item says that cannot be true at once."""
    if item.probabilities and item.logprobs:
        expected = softmax(item.logprobs)
        if len(item.probabilities) != len(expected) or not np.allclose(item.probabilities, expected, atol=_ROUNDING):
            return "its probabilities are not those of its log-likelihoods"
    right = _verdict(item.scores)
    if right is None or not (item.logprobs and item.answer and item.expected):
        return None
    # Two choices may read alike, and then the wrong one looks right.
    looks_alike = not right and len(set(item.choices)) < len(item.choices)
    if right == (item.answer == item.expected) or looks_alike:
        return None
    return f"it is scored {int(right)}, `{shown(item.answer)}` was chosen and `{shown(item.expected)}` is right"


def _verdict(scores: Mapping[str, float]) -> bool | None:
    value = scores.get("acc")
    return bool(value) if value in (0, 1) else None
