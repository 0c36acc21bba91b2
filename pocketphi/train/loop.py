"""The one training loop.

A stage brings a model, a source of steps and a loss; the loop brings everything else: mixed precision with
single-precision masters, accumulation, clipping, the schedule, optimizers, figures, and a state that a killed run goes
on from, to the same bits. Losses are sums, divided by a count that is known before the first micro-batch, so
neither accumulation nor padding changes the gradient.

Nothing is read back from the device between two flushes of the recorder. On an accelerator the processor therefore
runs ahead and makes the next batch while the current one is computed; no loader processes are needed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketphi import recipe
from pocketphi.artifact import Progress, no_progress
from pocketphi.errors import shown
from pocketphi.train.batches import Source
from pocketphi.train.metrics import METRICS, Recorder
from pocketphi.train.optim import learning_rate, make_optimizers
from pocketphi.train.qat import quantization_aware
from pocketphi.train.state import STATE, load_state, save_state

Loss = Callable[..., Mapping[str, Tensor]]
"""A micro-batch's tensors to sums: `loss`, which is learnt from, and figures for the metrics."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run was, kills and resumes included."""

    steps: int
    tokens: int
    """Ids it read, padding not counted."""
    last: Mapping[str, float]
    """The last line of the metrics."""
    measured: Mapping[str, Any]
    """Seconds, rates and what else differs from machine to machine."""


def train(
    model: nn.Module,
    source: Source,
    loss: Loss,
    table: recipe.Optimizer,
    *,
    steps: int,
    work: Path,
    inputs: str,
    board: Path | None = None,
    progress: Progress = no_progress,
) -> Trained:
    """Train in place.

    Args:
        model: in single precision, on the device to train on.
        work: folder for `metrics.jsonl` and the state. A state of another run (by `inputs`) is written over.
        inputs: digest of everything that the run depends on.
        board: where TensorBoard's files go, if it is installed.

    Raises:
        UserError: the loss or the gradient is not finite, or the state is damaged.
    """
    work.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizers = make_optimizers(model, table)
    story = load_state(work / STATE, model, optimizers, inputs)
    first, tokens, seconds, kept = 0, 0, 0.0, 0
    if story is not None:
        first, tokens, seconds, kept = story["step"], story["tokens"], story["seconds"], story["metrics_bytes"]
        source.seek(story["position"])
    if table.qat_group is not None:
        loss = quantization_aware(model, loss, table.qat_group)
    run = _Compiled(loss) if table.compile else loss
    started = time.monotonic() - seconds
    model.train()
    progress(first, steps, {"now": "compiling"} if table.compile else {})
    with _same_bits(device), Recorder(work / METRICS, keep_bytes=kept, board=board) as recorder:
        for step in range(first, steps):
            batch = source.take()
            sums: dict[str, Tensor] = {}
            for micro_batch in batch.micro_batches:
                there = [_to(tensor, device) for tensor in micro_batch]
                with torch.autocast(device.type, torch.bfloat16, enabled=table.precision == "bf16"):
                    figures = run(*there)
                torch.autograd.backward(figures["loss"] / batch.count)
                for name, figure in figures.items():
                    sums[name] = sums[name] + figure.detach() if name in sums else figure.detach()
            norm = nn.utils.clip_grad_norm_(weights, table.max_grad_norm, foreach=True)
            rate = learning_rate(table, step, steps)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
                optimizer.zero_grad()
            tokens += batch.tokens
            known = {"step": step + 1, "tokens": tokens, "learning_rate": rate}
            if recorder.add(known, {**{name: total / batch.count for name, total in sums.items()}, "grad_norm": norm}):
                rates: dict[str, float | str] = {
                    "loss": recorder.last["loss"],
                    "learning_rate": rate,
                    "tokens/s": tokens / (time.monotonic() - started),
                }
                if isinstance(run, _Compiled) and run.problem:
                    rates["not compiled"] = run.problem
                progress(step + 1, steps, rates)
            if (step + 1) % table.checkpoint_steps == 0 and step + 1 < steps:
                story = {
                    "inputs": inputs,
                    "step": step + 1,
                    "tokens": tokens,
                    "seconds": time.monotonic() - started,
                    "metrics_bytes": recorder.size,
                    "position": source.position,
                }
                save_state(work / STATE, model, optimizers, story)
        recorder.flush()
        seconds = time.monotonic() - started
        last = recorder.last
    progress(steps, steps, {"loss": last["loss"]} if last else {})
    measured: dict[str, Any] = {
        "train_seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
    }
    if isinstance(run, _Compiled) and run.problem:
        measured["not_compiled"] = run.problem
    return Trained(steps=steps, tokens=tokens, last=last, measured=measured)


def default_device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _same_bits(device: torch.device) -> Iterator[None]:
    """On the processor, sum in a fixed order: compiled code otherwise adds up an embedding's gradient with as many
    threads as there are, in the order they come. Measured: no slower. Accelerators choose for themselves."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class _Compiled:
    """A loss that `torch.compile` makes faster; where it cannot, the plain one, and the reason."""

    def __init__(self, loss: Loss) -> None:
        self._plain = loss
        self._compiled: Loss | None = torch.compile(loss, dynamic=False)
        self.problem: str | None = None

    def __call__(self, *arguments: Tensor | None) -> Mapping[str, Tensor]:
        if self._compiled is not None:
            try:
                return self._compiled(*arguments)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                self._compiled = None
                self.problem = shown(str(error).partition("\n")[0], 200)
        return self._plain(*arguments)


def _to(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    if tensor is None or device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
