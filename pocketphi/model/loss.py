"""Next-token losses that never hold all logits at once.

A vocabulary of 32,064 makes the logits of 32,768 tokens 4 GB in single precision, more than the rest of a small
model's activations. So long batches go through the head in chunks, and a chunk's logits are computed again in the
backward pass (Chen et al. 2016). Short batches take the plain path, which compiles into one kernel.

`torch.nn.functional.linear_cross_entropy` is not used: without options it is this plain path, and its chunked form
breaks out of a compiled graph and took 1.8 times as long (8,192 tokens, 256 wide, vocabulary 8,192, torch 2.13, CPU).
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

MAX_WHOLE_LOGITS = 1 << 26
"""Logits that may be there at once: 256 MB in single precision."""


def token_losses(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Negative log-probability of every target, in nats.

    Args:
        hidden: (..., D) final hidden states.
        head: (V, D).
        targets: (...) token ids.

    Returns:
        (...) single precision.
    """
    rows, flat = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    chunk = max(1, MAX_WHOLE_LOGITS // head.shape[0])
    if len(flat) <= chunk:
        return _losses(rows, head, flat).view_as(targets)
    parts = [
        checkpoint(_losses, rows[start : start + chunk], head, flat[start : start + chunk], use_reentrant=False)
        for start in range(0, len(flat), chunk)
    ]
    return torch.cat(parts).view_as(targets)


def _losses(rows: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(functional.linear(rows, head).float(), targets, reduction="none")
