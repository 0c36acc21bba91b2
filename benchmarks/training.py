"""A training step of ours beside Hugging Face's Trainer, interleaved: tokens per second as a ratio.

    pip install accelerate          # what Trainer needs beside transformers
    python benchmarks/training.py --pairs 5 --out benchmarks/results/training.json

Each pair runs both once, each in a process of its own, which goes first in turn. The claim is the lower quartile of
the ratios *within* a pair, so slow windows of a shared machine cancel. Run it on a quiet machine.

Both do the same work: the same Phi-3-shaped model from the same first weights, the same rows in the same order, the
same 255 targets of each, bfloat16 autocast over single-precision weights, fused AdamW with the same decay groups,
clipping at 1, a constant rate, both compiled, losses logged. That it *is* the same work is checked: the losses must
agree. Steps before `--warmup` (compilation) are not timed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pocketphi.architecture import DecoderConfig, RopeConfig, expected_tensors

VOCAB_SIZE, LENGTH, BATCH_SIZE = 8192, 256, 16
LEARNING_RATE = 3e-4
SIDES = ("pocketphi", "trainer")
MAX_MEDIAN_GAP, MAX_GAP = 0.005, 0.1
"""Nats between the losses of a step on both sides."""


def main() -> None:
    parser = argparse.ArgumentParser(description="a training step of ours beside Hugging Face's Trainer")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=5, help="steps before the clock starts")
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--eager", action="store_true", help="without torch.compile, on both sides")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        torch.set_num_threads(options.threads)
        run = ours if options.worker == "pocketphi" else trainer
        print(json.dumps(run(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_start(Path(folder), options.warmup + options.steps)
        pairs = []
        for number in range(options.pairs):
            order = SIDES if number % 2 == 0 else SIDES[::-1]
            pair = {side: in_a_process(side, Path(folder)) for side in order}
            check_same_work(pair)
            pair_ratio = pair["pocketphi"]["tokens_per_second"] / pair["trainer"]["tokens_per_second"]
            pairs.append({**pair, "ratio": round(pair_ratio, 4)})
            speeds = ", ".join(f"{side} {pair[side]['tokens_per_second']:.0f} tokens/s" for side in SIDES)
            print(f"pair {number + 1}: {speeds}, ratio {pair_ratio:.3f}", file=sys.stderr)
    report = summary(pairs, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"ratio: lower quartile {report['ratio']['lower_quartile']}, median {report['ratio']['median']}")


def shape() -> DecoderConfig:
    """8.9 million parameters."""
    return DecoderConfig(
        model_type="phi3",
        vocab_size=VOCAB_SIZE,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        rope=RopeConfig(head_dim=32, max_position_embeddings=512, original_max_position_embeddings=512),
    )


def write_start(folder: Path, steps: int) -> None:
    """First weights and rows, for both."""
    from pocketphi.model import Decoder, initialise, save_checkpoint
    from pocketphi.recipe import TokenizerTable
    from pocketphi.tokenizer.train import train_tokenizer

    words = np.random.default_rng(0).integers(0, 26, (4000, 6))
    text = " ".join("".join(chr(97 + letter) for letter in word) for word in words)
    tokenizer = train_tokenizer(TokenizerTable(vocab_size=400), [text], folder / "tokenizer", seed=0)
    model = initialise(Decoder(shape()), torch.Generator().manual_seed(0))
    save_checkpoint(model, folder / "model", tokenizer_dir=tokenizer.path)
    # Zipf's law, so that there is something to learn.
    ranks = np.random.default_rng(1).zipf(1.3, (steps * BATCH_SIZE, LENGTH))
    np.save(folder / "rows.npy", np.minimum(ranks, VOCAB_SIZE - 1))


def in_a_process(side: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--worker", side, "--folder", str(folder)]
    # Trainer asks for the hub and for loggers unless told not to.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


class Clock:
    """Reads the time when the warm-up ends and when all is done."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.warmup, self.steps = options.warmup, options.steps
        self.started = self.ended = 0.0

    def at_start_of(self, step: int) -> None:
        if step == self.warmup:
            self.started = time.perf_counter()
        elif step == self.warmup + self.steps:
            self.ended = time.perf_counter()

    @property
    def tokens_per_second(self) -> float:
        return round(self.steps * BATCH_SIZE * LENGTH / (self.ended - self.started), 1)


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """The training loop of the package."""
    from pocketphi.model import load_checkpoint
    from pocketphi.recipe import Optimizer
    from pocketphi.train.batches import IGNORED, Step, cut
    from pocketphi.train.loop import train
    from pocketphi.train.metrics import read_metrics
    from pocketphi.train.pretrain import next_token_loss

    rows = np.load(options.folder / "rows.npy")
    clock = Clock(options)

    class Rows:
        next = 0

        def take(self) -> Step:
            clock.at_start_of(self.next)
            batch = rows[self.next * BATCH_SIZE : (self.next + 1) * BATCH_SIZE]
            self.next += 1
            # Trainer predicts all but the first id of a row of 256; so do we here.
            targets = np.concatenate((batch[:, 1:], np.full((BATCH_SIZE, 1), IGNORED)), axis=1)
            count = BATCH_SIZE * (LENGTH - 1)
            return Step(micro_batches=cut(batch, targets, None, parts=1), count=count, tokens=batch.size)

        @property
        def position(self) -> dict[str, Any]:
            return {}

        def seek(self, position: dict[str, Any]) -> None:
            assert not position, "a benchmark starts at the beginning"

    table = Optimizer(
        learning_rate=LEARNING_RATE,
        warmup_steps=0,
        final_fraction=1.0,
        weight_decay=0.1,
        beta2=0.999,
        checkpoint_steps=10**6,
        compile=not options.eager,
    )
    model = load_checkpoint(options.folder / "model")
    steps = options.warmup + options.steps
    with tempfile.TemporaryDirectory() as work:
        trained = train(model, Rows(), next_token_loss(model), table, steps=steps, work=Path(work), inputs="")
        clock.at_start_of(steps)
        losses = [line["loss"] for line in read_metrics(Path(work) / "metrics.jsonl")]
    assert "not_compiled" not in trained.measured, trained.measured
    return {"tokens_per_second": clock.tokens_per_second, "losses": [round(loss, 4) for loss in losses]}


def trainer(options: argparse.Namespace) -> dict[str, Any]:
    """Hugging Face's, as its documentation uses it."""
    import transformers
    from torch.utils.data import Dataset, SequentialSampler

    rows = np.load(options.folder / "rows.npy")
    clock = Clock(options)

    class Rows(Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            row = torch.from_numpy(rows[index])
            return {"input_ids": row, "labels": row}

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
            return SequentialSampler(train_dataset or self.train_dataset)

    class Timer(transformers.TrainerCallback):
        def on_step_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            clock.at_start_of(state.global_step)

    steps = options.warmup + options.steps
    model = transformers.Phi3ForCausalLM.from_pretrained(options.folder / "model", dtype=torch.float32)
    model.config.use_cache = False
    with tempfile.TemporaryDirectory() as work:
        arguments = transformers.TrainingArguments(
            work,
            per_device_train_batch_size=BATCH_SIZE,
            max_steps=steps,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            weight_decay=0.1,
            adam_beta2=0.999,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            bf16=True,
            use_cpu=True,
            torch_compile=not options.eager,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        run = InOrder(model=model, args=arguments, train_dataset=Rows(), callbacks=[Timer()])
        sys.stdout = sys.stderr  # Trainer prints its logs
        run.train()
        clock.at_start_of(steps)
        sys.stdout = sys.__stdout__
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    return {"tokens_per_second": clock.tokens_per_second, "losses": [round(float(loss), 4) for loss in losses]}


def check_same_work(pair: dict[str, dict[str, Any]]) -> None:
    """Losses agree to rounding; steep steps make more of that, so a few may differ more."""
    gaps = [abs(one - other) for one, other in zip(*(pair[side]["losses"] for side in SIDES), strict=True)]
    if statistics.median(gaps) > MAX_MEDIAN_GAP or max(gaps) > MAX_GAP:
        told = f"by {statistics.median(gaps):.3g} in the median and {max(gaps):.3g} at most"
        raise SystemExit(f"error: the losses differ {told}: this is not the same work")


def summary(pairs: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    import transformers

    ratios = [pair["ratio"] for pair in pairs]
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {
        "command": f"python benchmarks/training.py --pairs {options.pairs} --threads {options.threads}"
        + (" --eager" if options.eager else ""),
        "machine": processor(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "model": {
            **shape().to_published(),
            "parameters": sum(rows * columns for rows, columns in expected_tensors(shape()).values()),
        },
        "batch_size": BATCH_SIZE,
        "sequence_length": LENGTH,
        "timed_steps": options.steps,
        "compiled": not options.eager,
        "ratio": {"lower_quartile": round(quartiles[0], 4), "median": round(quartiles[1], 4)},
        "pairs": pairs,
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
