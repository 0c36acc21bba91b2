"""Quantization-aware training: the forward pass sees the weights as `quantize` will round them.

Every matrix inside the layers stands on the 4-bit grid of `packing.round_to_nearest` while the loss is computed; the
backward pass takes rounding for the identity, the straight-through estimator (Bengio et al. 2013, arXiv 1308.3432;
Jacob et al. 2018, arXiv 1712.05877, section 3). The weights stay in single precision: the optimizer moves them until
their rounded neighbours do well. A model of a million weights, most of them needed, loses points to plain
rounding; one that learnt with it loses none that can be measured.

Embedding and head are left as they are: they get 8 bits.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

T = TypeVar("T")

_LOWEST = 8
"""Steps from zero to the lowest code; the highest is one less."""


def quantization_aware(model: nn.Module, function: Callable[..., T], group: int) -> Callable[..., T]:
    """`function` as it would be if the model's layers were rounded; gradients reach the weights as they are.

    Args:
        function: uses `model`.
        group: weights that share a scale.
    """
    user = _User(model, function)
    inside = {
        f"model.{name}": weight for name, weight in model.named_parameters() if ".layers." in name and weight.dim() == 2
    }

    def aware(*arguments: Any) -> T:
        rounded = {name: straight_through(weight, group) for name, weight in inside.items()}
        result: T = functional_call(user, rounded, arguments)
        return result

    return aware


def straight_through(weight: Tensor, group: int) -> Tensor:
    """(rows, cols) rounded, with the gradient of the identity."""
    return weight + (round_to_grid(weight.detach(), group) - weight.detach())


def round_to_grid(weight: Tensor, group: int) -> Tensor:
    """The nearest points of the 4-bit grid without minima that `packing.round_to_nearest` spans: the same numbers.

    Args:
        weight: (rows, cols) single precision.
    """
    rows, cols = weight.shape
    # A short last group repeats its last number, which widens no range.
    missing = -cols % group
    cells = nn.functional.pad(weight[None], (0, missing), mode="replicate")[0] if missing else weight
    cells = cells.reshape(rows, -1, group)
    low, high = cells.amin(dim=2, keepdim=True), cells.amax(dim=2, keepdim=True)
    scale = (torch.where(-low >= high, low, high) / -_LOWEST).half().float()
    inverse = torch.where(scale == 0, 0.0, 1 / scale)
    codes = (cells * inverse).round().clamp(-_LOWEST, _LOWEST - 1)
    return (codes * scale).reshape(rows, -1)[:, :cols]


class _User(nn.Module):
    """A function of a model as a module, so that `functional_call` can lend it other weights."""

    def __init__(self, model: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self._function = function

    def forward(self, *arguments: Any) -> Any:
        return self._function(*arguments)
