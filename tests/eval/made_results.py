"""Results as `pocketphi eval` leaves them, with invented items: nothing is measured."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketphi.eval.results import Item, Results, TaskResult, write_items, write_results
from pocketphi.eval.statistics import scores_of
from pocketphi.eval.tasks.choice import softmax


def made_item(
    name: str, *, acc: float = 1.0, prompt: str = "Question:", cluster: str = "", subset: str = "", written: str = ""
) -> Item:
    return Item(
        id=name,
        subset=subset,
        cluster=cluster or name,
        prompt_digest=hashlib.sha256(f"{prompt} {name}".encode()).hexdigest(),
        question=f"{prompt} {name}",
        choices=("yes", "no"),
        expected="A",
        answer="A" if acc else "B",
        written=written,
        logprobs=() if written else ((-0.5, -1.5) if acc else (-1.5, -0.5)),
        probabilities=() if written else softmax((-0.5, -1.5) if acc else (-1.5, -0.5)),
        scores={"acc": acc},
    )


def made_task(name: str, items: Sequence[Item]) -> TaskResult:
    subsets = sorted({item.subset for item in items} - {""})
    return TaskResult(
        name=name,
        title=name.upper(),
        version=1,
        metric="acc",
        shots=5,
        form="report",
        chance=0.5,
        prompts_digest=hashlib.sha256("".join(item.prompt_digest for item in items).encode()).hexdigest(),
        files={f"{name}.test.jsonl": "0" * 64},
        scores=scores_of(items),
        subsets={subset: scores_of([item for item in items if item.subset == subset]) for subset in subsets},
    )


def made_results(tasks: Mapping[str, Sequence[Item]], *, name: str = "model") -> Results:
    return Results(
        model={"name": name, "digest": "1" * 64, "backend": "native", "context": 2048, "chat": False},
        code={"pocketphi": "0", "lm_eval": "0"},
        settings={"limit": None},
        tasks={task: made_task(task, items) for task, items in tasks.items()},
    )


def write_run(
    folder: Path, tasks: Mapping[str, Sequence[Item]], *, name: str = "model", results: Results | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for task, items in tasks.items():
        write_items(folder, task, items)
    write_results(folder, results or made_results(tasks, name=name))
    return folder
