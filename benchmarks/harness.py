"""Does our adapter answer as lm-evaluation-harness's own Hugging Face model does, and how much faster?

    POCKETPHI_DATA=FOLDER python benchmarks/harness.py agreement --out benchmarks/results/harness_agreement.json
    POCKETPHI_DATA=FOLDER python benchmarks/harness.py speed --items 120 --out benchmarks/results/harness_speed.json

Both sides are given the same tasks by the same evaluator. Ours is the engine on SmolLM2's 4-bit file; the harness's is
`HFLM` on a Hugging Face folder that holds the weights which that file's codes stand for.

`agreement`: item by item, is the same choice the likeliest as for `HFLM` in single precision? Items whose two best
choices lie within 0.1 nats there may turn. Ours rounds activations to 16 bits; `HFLM` in bfloat16 is shown beside it.

`speed`: the 5-shot MMLU items, in turn: `HFLM` in single precision and ours with activations of 16 bits, which agree;
`HFLM` in bfloat16 and ours with 8 bits, the fastest of both sides. `HFLM` gets the better batch size of two.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from pocketphi.eval.harness.adapter import HarnessModel
from pocketphi.eval.harness.answers import open_answers
from pocketphi.eval.harness.wrapped import LocalTask, phrase
from pocketphi.eval.results import Item
from pocketphi.eval.tasks.catalogue import TASKS
from pocketphi.eval.tasks.examples import draw_examples
from pocketphi.eval.tasks.prompt import REPORT
from pocketphi.eval.tasks.rows import load_data
from pocketphi.formats.pocket import open_pocket
from pocketphi.hub import resolve
from pocketphi.model.checkpoint import load_pocket, save_checkpoint
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.tokenizer import Tokenizer
from reference.hub_tokenizer import hub_tokenizer

AGREEMENT = (
    "cloze_hellaswag",
    "cloze_piqa",
    "cloze_arc_easy",
    "cloze_arc_challenge",
    "cloze_openbookqa",
    "cloze_winogrande",
    "cloze_boolq",
    "cloze_commonsense_qa",
    "phi3_mmlu",
    "phi3_arc_easy",
)
SMALL_MARGIN = 0.1
"""Nats between the two best choices under which an item may turn."""
BATCH_SIZES = (8, 1)
"""Of the harness's model; the faster is compared with."""
SUBJECTS = ("abstract_algebra", "anatomy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("agreement", "speed"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--tasks", nargs="+", default=AGREEMENT)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = Path(os.environ["POCKETPHI_DATA"]) / "bench"
    path = resolve(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        ours = partial(Model, open_pocket(path), context=options.context)
        theirs = partial(hugging_face, path, Path(scratch), context=options.context)
        measure = agreement if options.what == "agreement" else speed
        report = {"model": options.model, "context": options.context, **measure(ours, theirs, data, options)}
    text = json.dumps(report, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


def hugging_face(path: Path, scratch: Path, *, batch_size: int, context: int, dtype: str = "float32") -> HFLM:
    """The harness's own model, on the weights and the vocabulary of a packed file."""
    file = open_pocket(path)
    if not scratch.joinpath("model").exists():
        (scratch / "tokenizer.json").write_bytes(file.tokenizer_json)
        save_checkpoint(load_pocket(path), scratch / "model", tokenizer_dir=scratch)
    tokenizer = hub_tokenizer(Tokenizer.from_json(file.tokenizer_json))
    return HFLM(
        pretrained=str(scratch / "model"),
        tokenizer=tokenizer,
        dtype=dtype,
        device="cpu",
        batch_size=batch_size,
        max_length=context,
    )


def wrapped(name: str, data: Path, items: int, subsets: Sequence[str] = ()) -> LocalTask:
    """The first so many rows of a task, with its examples."""
    task = TASKS[name]
    drawn = draw_examples(task, load_data(data, task.file), seed=1)
    rows = sorted((row for row in drawn.test if not subsets or row.subset in subsets), key=lambda row: row.id)[:items]
    return LocalTask(task, [phrase(task, row, drawn.shots(row), REPORT, chat=False) for row in rows])


def answers_of(model: Any, task: LocalTask) -> list[Item]:
    """What a model says to a task."""
    evaluate(lm=model, task_dict={"tasks": {task.bench.name: task}, "groups": {}}, bootstrap_iters=0, log_samples=False)
    return list(task.items.values())


def agreement(
    engine: Callable[..., Model], hugging: Callable[..., HFLM], data: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Per task: how often the same choice, and the accuracies; of ours, and of their own model in bfloat16."""
    exact, half = hugging(batch_size=8), hugging(batch_size=8, dtype="bfloat16")
    found, found_half = {}, {}
    for name in options.tasks:
        with engine(activation_bits=16) as model, open_answers(None) as kept:
            ours = answers_of(HarnessModel(NativeBackend(model), kept, name="ours"), wrapped(name, data, options.items))
        reference = answers_of(exact, wrapped(name, data, options.items))
        found[name] = compared(ours, reference)
        found_half[name] = compared(answers_of(half, wrapped(name, data, options.items)), reference)
    met = all(
        task["same"] >= 0.97 and task["turned_beyond_margin"] == 0 and abs(task["accuracy_gap"]) <= 0.01
        for task in found.values()
    )
    return {"items": options.items, "activation_bits": 16, "tasks": found, "met": met, "their_bfloat16": found_half}


def compared(ours: Sequence[Item], theirs: Sequence[Item]) -> dict[str, Any]:
    """Two sides' answers to the same items."""
    pairs = list(zip(ours, theirs, strict=True))
    turned = [margin(other) for item, other in pairs if best(item) != best(other)]
    gaps = [abs(a - b) for item, other in pairs for a, b in zip(item.logprobs, other.logprobs, strict=True)]
    accuracy = [statistics.fmean(item.scores["acc"] for item in side) for side in (ours, theirs)]
    return {
        "items": len(pairs),
        "same": 1 - len(turned) / len(pairs),
        "turned": len(turned),
        "turned_beyond_margin": sum(value >= SMALL_MARGIN for value in turned),
        "largest_margin_turned": max(turned, default=0.0),
        "accuracy": accuracy[0],
        "accuracy_theirs": accuracy[1],
        "accuracy_gap": accuracy[0] - accuracy[1],
        "median_logprob_gap": statistics.median(gaps),
    }


def best(item: Item) -> int:
    return max(range(len(item.logprobs)), key=item.logprobs.__getitem__)


def margin(item: Item) -> float:
    """Nats between the best two choices."""
    first, second = sorted(item.logprobs, reverse=True)[:2]
    return first - second


def speed(
    engine: Callable[..., Model], hugging: Callable[..., HFLM], data: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """5-shot MMLU: seconds on both sides, in turn."""

    def asked() -> LocalTask:
        return wrapped("phi3_mmlu", data, options.items, SUBJECTS)

    def theirs(dtype: str, batch_size: int) -> float:
        return timed(hugging(dtype=dtype, batch_size=batch_size), asked())

    def ours(bits: int) -> float:
        with engine(activation_bits=bits) as model, open_answers(None) as kept:
            return timed(HarnessModel(NativeBackend(model), kept, name="ours"), asked())

    tried = {dtype: {size: theirs(dtype, size) for size in BATCH_SIZES} for dtype in ("float32", "bfloat16")}
    best = {dtype: min(seconds, key=seconds.__getitem__) for dtype, seconds in tried.items()}
    rounds = [
        {
            "float32": theirs("float32", best["float32"]),
            "ours_16": ours(16),
            "bfloat16": theirs("bfloat16", best["bfloat16"]),
            "ours_8": ours(8),
        }
        for _ in range(options.rounds)
    ]
    ratio = {
        f"{slow} over {fast}": statistics.median(each[slow] / each[fast] for each in rounds)
        for slow, fast in (("bfloat16", "ours_8"), ("float32", "ours_16"), ("bfloat16", "ours_16"))
    }
    return {
        "items": options.items,
        "subjects": SUBJECTS,
        "batch_sizes": best,
        "seconds_tried": tried,
        "rounds_seconds": rounds,
        "ratio": ratio,
        "met": ratio["bfloat16 over ours_8"] >= 4.0 and ratio["float32 over ours_16"] >= 4.0,
    }


def timed(model: Any, task: LocalTask) -> float:
    started = time.perf_counter()
    answers_of(model, task)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
