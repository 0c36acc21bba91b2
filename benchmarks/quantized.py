"""What 4 bits cost: the same questions to the 16-bit and the 4-bit model, in the engine and in torch.

    python benchmarks/quantized.py runs/nano-1 runs/nano-2 runs/nano-3 --out benchmarks/results/quantized.json

Each RUN is a finished `pocketphi make`. Its checkpoint is imported at 16 bits, so that both models run in the same
engine, and its `model.pocket` is loaded back into torch, so that both runtimes compute with the same weights. All
held-out questions are asked, not just those that the recipe's evaluation drew. Differences are paired by question
and pooled over runs. Where a recipe trains with rounded layers (`qat_group`), its 16-bit weights were never meant to be
used as they are; `--unrounded` names the same runs tuned without, and the 4-bit files are held against those too.
Prints a summary and the bars with what was reached; writes JSON to `--out`.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from pocketphi.artifact import open_artifact
from pocketphi.data.records import read_questions
from pocketphi.errors import UserError
from pocketphi.eval.compare import compare
from pocketphi.eval.questions import Sample, ask, choose, score
from pocketphi.formats.pocket import open_pocket
from pocketphi.hub.convert import import_model
from pocketphi.runtime.backend import Backend
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.torch_backend import TorchBackend

MAX_LOSS, MIN_AGREEMENT = 0.015, 0.98
"""Accuracy that 4 bits may cost, and answers on which torch and the engine have to agree."""
CHECKPOINT, HALF, QUANTIZED, QUANTIZED_TORCH = "checkpoint, torch", "16 bits, engine", "4 bits, engine", "4 bits, torch"
UNROUNDED = "16 bits, tuned without rounding, engine"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--unrounded", type=Path, nargs="+", default=[], metavar="RUN", help="one for each RUN")
    parser.add_argument("--questions", type=int, default=10_000, help="of each tier, at most")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, help="default: the physical cores")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    try:
        report = measure(options)
    except UserError as error:
        parser.exit(1, f"error: {error}\n")
    text = json.dumps(report, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    arms: dict[str, list[Sample]] = {}
    sizes: list[dict[str, Any]] = []
    if options.unrounded and len(options.unrounded) != len(options.runs):
        raise UserError("`--unrounded` names as many runs as there are")
    for run, unrounded in zip_longest(options.runs, options.unrounded):
        found, about = measure_run(run, unrounded, options)
        sizes.append(about)
        for name, samples in found.items():
            # Two runs may ask the same questions: what is paired is a question in a run.
            arms.setdefault(name, []).extend(replace(sample, id=f"{run}: {sample.id}") for sample in samples)
    loss = compare(arms[HALF], arms[QUANTIZED])
    losses = {"16 bits minus 4 bits": loss}
    if options.unrounded:
        losses["16 bits, tuned without rounding, minus 4 bits"] = compare(arms[UNROUNDED], arms[QUANTIZED])
    runtimes = {
        "4 bits": agreement(arms[QUANTIZED], arms[QUANTIZED_TORCH]),
        "16 bits": agreement(arms[HALF], arms[CHECKPOINT]),
    }
    return {
        "command": f"python benchmarks/quantized.py RUN ... --questions {options.questions}",
        "runs": sizes,
        "accuracy": {
            name: {tier: score(of_tier(samples, tier)).to_json() for tier in tiers(samples)} | score(samples).to_json()
            for name, samples in arms.items()
        },
        **{name: asdict(value) for name, value in losses.items()},
        "by tier": {
            tier: asdict(compare(of_tier(arms[HALF], tier), of_tier(arms[QUANTIZED], tier)))
            for tier in tiers(arms[HALF])
        },
        "torch and engine": runtimes,
        "bars": [
            *(
                {
                    "bar": f"{name}: at most {MAX_LOSS:.1%}",
                    "reached": value.difference,
                    "met": value.difference <= MAX_LOSS,
                }
                for name, value in losses.items()
            ),
            {
                "bar": f"torch and engine agree on at least {MIN_AGREEMENT:.0%} of greedy answers",
                "reached": runtimes["4 bits"]["same_answer"],
                "met": runtimes["4 bits"]["same_answer"] >= MIN_AGREEMENT,
            },
        ],
    }


def measure_run(
    run: Path, unrounded: Path | None, options: argparse.Namespace
) -> tuple[dict[str, list[Sample]], dict[str, Any]]:
    """The answers of every arm, and how large the files are."""
    file = open_artifact(run / "model", "model").path / "model.pocket"
    checkpoint = open_artifact(run / open_pocket(file).lineage["source"], "checkpoint").path
    questions = choose(read_questions(run / "primer" / "questions.jsonl"), options.questions)
    answers: dict[str, list[Sample]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        half = import_model(checkpoint, Path(scratch) / "half.pocket")
        backends: dict[str, Callable[[], AbstractContextManager[Backend]]] = {
            CHECKPOINT: lambda: nullcontext(TorchBackend.open(checkpoint)),
            HALF: lambda: native(half, options.threads),
            QUANTIZED: lambda: native(file, options.threads),
            QUANTIZED_TORCH: lambda: nullcontext(TorchBackend.open(file)),
        }
        if unrounded is not None:
            tuned = open_artifact(unrounded / checkpoint.name, "checkpoint").path
            other = import_model(tuned, Path(scratch) / "unrounded.pocket")
            backends[UNROUNDED] = lambda: native(other, options.threads)
        for name, opened in track(backends.items(), f"asking {run.name}", transient=True):
            with opened() as backend:
                answers[name] = ask(backend, questions, form="chat", max_tokens=options.max_tokens)
        about = {
            "run": run.name,
            "questions": len(questions),
            "bytes_16_bit": half.stat().st_size,
            "bytes_4_bit": file.stat().st_size,
        }
    return answers, about


@contextmanager
def native(file: Path, threads: int | None) -> Iterator[Backend]:
    with Model(open_pocket(file), threads=threads) as model:
        yield NativeBackend(model, batch_size=16)


def agreement(first: Sequence[Sample], second: Sequence[Sample]) -> dict[str, float]:
    """On how many questions two runtimes say the same: the whole text, and what stands after `Answer:`."""
    pairs = list(zip(first, second, strict=True))
    same = sum(a.answer == b.answer for a, b in pairs) / len(pairs)
    return {
        "same_answer": same,
        "standard_error": math.sqrt(same * (1 - same) / len(pairs)),
        "same_text": sum(a.written == b.written for a, b in pairs) / len(pairs),
        "same_verdict": sum(a.is_correct == b.is_correct for a, b in pairs) / len(pairs),
        "questions": len(pairs),
    }


def tiers(samples: Sequence[Sample]) -> list[str]:
    return sorted({sample.tier for sample in samples})


def of_tier(samples: Sequence[Sample], tier: str) -> list[Sample]:
    return [sample for sample in samples if sample.tier == tier]


if __name__ == "__main__":
    main()
