"""Tasks that the harness itself has, by name: their data come from the hub or its cache.

Their prompts, metrics and examples are the harness's own. What we add is the check of names, the refusal of tasks that
run a model's code without a sandbox, and results in the form of all others.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate as run_harness
from lm_eval.tasks import TaskManager

from pocketphi.errors import UserError, shown
from pocketphi.eval.harness.adapter import HarnessModel
from pocketphi.eval.harness.answers import key_of
from pocketphi.eval.results import Item, Score, TaskResult
from pocketphi.eval.statistics import score_of

_HEADLINES = ("acc_norm", "acc", "exact_match", "em", "f1", "mc2", "bits_per_byte")
"""What a task is known by, the first that it has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PublishedTask:
    """One of the harness's own tasks."""

    name: str
    task: Any
    runs_code: bool

    @property
    def title(self) -> str:
        return self.name

    @property
    def version(self) -> int:
        try:
            return int(float(self.task.VERSION))
        except (TypeError, ValueError):
            return 0

    @property
    def metric(self) -> str:
        names = list(self.task.higher_is_better())
        return next((name for name in _HEADLINES if name in names), names[0] if names else "")

    @property
    def shots(self) -> int:
        return int(self.task.config.num_fewshot or 0)

    def run(
        self, model: HarnessModel, *, limit: int | None, shots: int | None, chat: bool
    ) -> tuple[TaskResult, list[Item]]:
        """Ask it, and put what the harness found in our form. `limit` takes the first rows, as the harness does."""
        if shots is not None:
            self.task.set_config(key="num_fewshot", value=shots)
        elif self.task.config.num_fewshot is None:
            self.task.set_config(key="num_fewshot", value=0)
        self.task.set_fewshot_seed(seed=1234)
        found = run_harness(
            lm=model,
            task_dict={"tasks": {self.name: self.task}, "groups": {}},
            limit=limit,
            bootstrap_iters=1000,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
        )
        samples = sorted(found["samples"][self.name], key=lambda sample: (sample["filter"], sample["doc_id"]))
        items = [_item(sample) for sample in samples]
        return (
            TaskResult(
                name=self.name,
                title=self.name,
                version=self.version,
                metric=self.metric,
                shots=self.shots,
                form="lm-eval" + (", chat" if chat else ""),
                chance=None,
                prompts_digest=hashlib.sha256("".join(item.prompt_digest for item in items).encode()).hexdigest(),
                files={},
                scores=_scores(found["results"][self.name], items),
                subsets={},
            ),
            items,
        )


def find_published(names: Sequence[str], others: Sequence[str] = ()) -> list[PublishedTask]:
    """The harness's tasks of these names; groups and tags are expanded.

    Args:
        others: names that somebody may have meant, beside the harness's.

    Raises:
        UserError: there is none, or its data cannot be loaded.
    """
    manager = _manager()
    for name in names:
        if name not in manager.all_tasks:
            near = difflib.get_close_matches(name, [*others, *manager.all_tasks], n=3)
            raise UserError(
                f"there is no task `{shown(name)}`",
                hint=f"did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else None,
            )
    tasks: dict[str, Task] = {}
    for name in names:
        try:
            tasks.update(manager.load([name])["tasks"])
        except Exception as error:
            raise UserError(
                f"the data of `{name}` cannot be loaded: {shown(error, 200)}",
                hint="they come from the hub: check the network, or take one of our tasks with `--data FOLDER`",
            ) from error
    return [
        PublishedTask(name=name, task=task, runs_code=bool(getattr(task, "UNSAFE_CODE", False)))
        for name, task in tasks.items()
    ]


@cache
def _manager() -> TaskManager:
    return TaskManager()


def _item(sample: Mapping[str, Any]) -> Item:
    context = str(sample["arguments"][0][0])
    replies = sample["filtered_resps"]
    is_scored = all(isinstance(reply, tuple | list) and len(reply) == 2 for reply in replies)
    suffix = "" if sample["filter"] == "none" else f"/{sample['filter']}"
    return Item(
        id=f"{sample['doc_id']}{suffix}",
        subset="",
        cluster=str(sample["doc_id"]),
        prompt_digest=key_of(sample["arguments"]),
        question=context,
        choices=tuple(str(arguments[1]) for arguments in sample["arguments"]) if is_scored else (),
        expected=str(sample["target"]),
        answer="",
        written="" if is_scored else str(replies[0]),
        logprobs=tuple(float(reply[0]) for reply in replies) if is_scored else (),
        probabilities=(),
        scores={
            name: float(sample[name]) for name in sample["metrics"] if isinstance(sample[name], int | float | bool)
        },
    )


def _scores(found: Mapping[str, Any], items: Sequence[Item]) -> dict[str, Score]:
    """By our intervals where an item has a value, else what the harness computed."""
    scores: dict[str, Score] = {}
    for key, value in found.items():
        name, _, kind = key.partition(",")
        if not kind or name.endswith("_stderr") or not isinstance(value, int | float):
            continue
        values = [item for item in items if name in item.scores and (kind == "none" or item.id.endswith(f"/{kind}"))]
        label = name if kind == "none" or name not in scores else f"{name}, {kind}"
        if values:
            scores[label] = score_of([item.scores[name] for item in values], [item.cluster for item in values])
            continue
        error = found.get(f"{name}_stderr,{kind}")
        spread = float(error) if isinstance(error, int | float) else 0.0
        scores[label] = Score(
            value=float(value),
            standard_error=spread,
            low=value - 1.96 * spread,
            high=value + 1.96 * spread,
            count=len(items),
        )
    return scores
