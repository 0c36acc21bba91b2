"""What a killed run goes on from: one file, complete or absent.

Weights, optimizer state and the story (step, data position, bytes of metrics) lie in a single safetensors file that
is written under another name, synced and renamed. So there is never a new half beside an old one, and nothing in
it is code. Random numbers are not in it: data order is a function of seed and position, and nothing else is drawn
while a model trains.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pocketphi.errors import UserError, shown

STATE = "state.safetensors"


def work_path(out: Path) -> Path:
    """Where the stage that makes `out` keeps its state."""
    return out.with_name(out.name + ".work")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], story: Mapping[str, Any]) -> None:
    """Replace a file by these tensors and this story, at once or not at all. Raises `UserError` if the disk is full."""
    scratch = path.with_name(path.name + ".partial")
    try:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, scratch, _metadata(story))
    except SafetensorError as error:  # its own error also for a full disk
        raise UserError(f"cannot write `{path}`: {shown(error)}", hint="free some space and run it again") from error
    for written in (scratch, None):
        if written is None:
            scratch.replace(path)
        descriptor = os.open(written or path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_tensors(path: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `write_tensors` wrote, or None if there is no such file.

    Raises:
        UserError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            story = json.loads((file.metadata() or {})["story"])
            return {name: file.get_tensor(name) for name in file.keys()}, story  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(
            f"`{path}` is damaged: {shown(error)}", hint="delete it: the stage then starts from its beginning"
        ) from None


def save_state(path: Path, model: nn.Module, optimizers: Sequence[Optimizer], story: Mapping[str, Any]) -> None:
    """Keep everything that the next step depends on."""
    tensors = {f"model.{name}": weight for name, weight in model.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{key}": value for key, value in values.items()}
    write_tensors(path, tensors, story)


def load_state(path: Path, model: nn.Module, optimizers: Sequence[Optimizer], inputs: str) -> dict[str, Any] | None:
    """Put back what `save_state` kept; None, and nothing changed, if it is of another run or not there.

    Args:
        inputs: digest of the run's inputs, which the story carries.
    """
    found = read_tensors(path, next(model.parameters()).device)
    if found is None or found[1].get("inputs") != inputs:
        return None
    tensors, story = found
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(tensors[f"model.{name}"])
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(f"optimizer.{number}."):
                _, _, index, key = name.split(".", 3)
                state.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return story


def _metadata(story: Mapping[str, Any]) -> dict[str, str]:
    return {"story": json.dumps(story, sort_keys=True)}
