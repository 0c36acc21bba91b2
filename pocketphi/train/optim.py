"""How weights move: AdamW for everything, or Muon for the matrices inside the layers and AdamW for the rest.

Muon (Jordan et al. 2024) takes the momentum of a matrix and replaces its singular values by ones, approximately,
by five Newton-Schulz steps. A query, a key and a value projection are three maps, so the fused matrices are
orthogonalised part by part; parts of one shape go through the steps together, as one batch, which on small models
is most of the speed. The update is scaled by 0.2 * sqrt(longer side), which gives it the size that AdamW's has
(Liu et al. 2025, "Muon is scalable for LLM training"), so one learning rate serves both.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from pocketphi import recipe

MUON_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


def make_optimizers(model: nn.Module, table: recipe.Optimizer) -> list[Optimizer]:
    """The optimizers of a model. Weight decay is for matrices; norms, being vectors, keep their size."""
    named = dict(model.named_parameters())
    inside = {name for name, weight in named.items() if weight.dim() == 2 and ".layers." in name}
    by_muon = inside if table.optimizer == "muon" else set()
    rest = [weight for name, weight in named.items() if name not in by_muon]
    adamw = AdamW(
        [
            {"params": [weight for weight in rest if weight.dim() >= 2], "weight_decay": table.weight_decay},
            {"params": [weight for weight in rest if weight.dim() < 2], "weight_decay": 0.0},
        ],
        lr=table.learning_rate,
        betas=(table.beta1, table.beta2),
        fused=True,
    )
    if not by_muon:
        return [adamw]
    config = getattr(model, "config", None)
    muon = Muon(
        [named[name] for name in sorted(by_muon)],
        [_parts(name, named[name], config) for name in sorted(by_muon)],
        lr=table.learning_rate,
        weight_decay=table.weight_decay,
        dtype=torch.bfloat16 if table.precision == "bf16" else torch.float32,
    )
    return [muon, adamw]


def learning_rate(table: recipe.Optimizer, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of `steps`: a linear warm-up, then the table's schedule.

    `cosine` reaches `final_fraction` with the last step (Loshchilov and Hutter 2017); `constant_decay` stays, then
    falls linearly over the last `decay_fraction` of all steps (Hu et al. 2024, "MiniCPM", warm-up-stable-decay).
    """
    warmup = min(table.warmup_steps, steps - 1)
    if step < warmup:
        return table.learning_rate * (step + 1) / (warmup + 1)
    if table.schedule == "cosine":
        done = (step - warmup) / max(1, steps - 1 - warmup)
        part = (1 + math.cos(math.pi * done)) / 2
    else:
        part = min(1.0, (steps - 1 - step) / max(1, round(table.decay_fraction * steps)))
    return table.learning_rate * (table.final_fraction + (1 - table.final_fraction) * part)


class Muon(Optimizer):
    """Momentum, orthogonalised. State: `momentum`, of each weight's shape.

    Args:
        weights: matrices.
        parts: how many rows each part of each matrix has.
        dtype: of the Newton-Schulz steps; they need no precision.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        parts: Sequence[Sequence[int]],
        *,
        lr: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})
        self._rows = parts
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        assert closure is None
        (group,) = self.param_groups
        weights = [weight for weight in group["params"] if weight.grad is not None]
        rows = [rows for weight, rows in zip(group["params"], self._rows, strict=True) if weight.grad is not None]
        gradients: list[Any] = [weight.grad for weight in weights]
        momenta = [self.state[weight].setdefault("momentum", torch.zeros_like(weight)) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MUON_MOMENTUM)
        looking_ahead = torch._foreach_lerp(gradients, momenta, MUON_MOMENTUM)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for weight, update, sizes in zip(weights, looking_ahead, rows, strict=True):
            for target, part in zip(torch.split(weight, list(sizes)), torch.split(update, list(sizes)), strict=True):
                wide = part.shape[0] <= part.shape[1]
                target, part = (target, part) if wide else (target.T, part.T)
                by_shape.setdefault(part.shape, []).append((target, part))
        for shape, pairs in by_shape.items():
            moves = orthogonalise(torch.stack([part for _, part in pairs]), self._dtype)
            scale = -group["lr"] * 0.2 * math.sqrt(max(shape))
            torch._foreach_add_([target for target, _ in pairs], list(moves.float().unbind()), alpha=scale)


def orthogonalise(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest matrices with orthonormal rows, roughly: singular values end between about 0.7 and 1.2.

    Args:
        matrices: (N, rows, columns), rows <= columns.

    Returns:
        The same shape, in `dtype`.
    """
    a, b, c = _NEWTON_SCHULZ
    x = matrices.to(dtype)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _parts(name: str, weight: Tensor, config: Any) -> list[int]:
    """Rows of the maps that a fused matrix holds."""
    if name.endswith(".qkv_proj.weight") and config is not None:
        query, key = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        return [query, key, key]
    if name.endswith(".gate_up_proj.weight"):
        return [weight.shape[0] // 2] * 2
    return [weight.shape[0]]
