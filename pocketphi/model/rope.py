"""Rotary position embeddings, plain and LongRoPE.

Plain RoPE turns feature pair i of a head by `position / theta**(2i/E)` (Su et al. 2021). LongRoPE stretches
each of those wavelengths by its own factor and rescales cosine and sine, which carries a model trained on
short windows to long ones (Ding et al. 2024). Two factor lists ship with a model: `short` for sequences up to
the original length, `long` for those beyond it. The choice is made per sequence and for all of its positions,
because keys turned under one list do not match queries turned under the other.

The tables are plain numbers, not buffers: nothing is lost on the meta device or rounded by `model.bfloat16()`.
"""

import torch
from torch import Tensor

from pocketphi.architecture import RopeConfig


class Rotary:
    """Turns positions into cosines and sines for one shape of head."""

    def __init__(self, rope: RopeConfig) -> None:
        self.short = _inverse_frequencies(rope, rope.short_factor)
        self.long = _inverse_frequencies(rope, rope.long_factor) if rope.is_long else None
        self.border = rope.original_max_position_embeddings
        self.attention_factor = rope.attention_factor

    def is_long(self, length: int) -> bool:
        """Whether a sequence of this length is turned by the long list."""
        return self.long is not None and length > self.border

    def __call__(self, positions: Tensor, lengths: int | Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of every position.

        Args:
            positions: (T,) or (B, T) whole numbers.
            lengths: how long the sequences are: one number for all, or (B,).

        Returns:
            Two (T, E/2) or (B, T, E/2) single-precision tensors, multiplied by the attention factor.
        """
        device = positions.device
        if self.long is None or isinstance(lengths, int):
            chosen = self.long if isinstance(lengths, int) and self.is_long(lengths) else self.short
            frequencies = torch.tensor(chosen, dtype=torch.float32, device=device)
        else:
            short, long = (torch.tensor(table, dtype=torch.float32, device=device) for table in (self.short, self.long))
            frequencies = torch.where((lengths > self.border)[:, None, None], long, short)
        tables: tuple[Tensor, Tensor] = _cos_sin(positions, frequencies, self.attention_factor)
        return tables


@torch.library.custom_op("pocketphi::cos_sin", mutates_args=())
def _cos_sin(positions: Tensor, frequencies: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Opaque to the compiler, which would otherwise compute every cosine again in each layer, on both ways."""
    angles = positions[..., None].float() * frequencies
    return angles.cos() * factor, angles.sin() * factor


@_cos_sin.register_fake
def _(positions: Tensor, frequencies: Tensor, _factor: float) -> tuple[Tensor, Tensor]:
    angles = positions[..., None] * frequencies
    return torch.empty_like(angles), torch.empty_like(angles)


def _inverse_frequencies(rope: RopeConfig, factors: tuple[float, ...] | None) -> list[float]:
    """Radians per position of every feature pair, in single precision.

    `architecture.inverse_frequencies` rounds the power correctly, torch's may be one bit off (one pair of Phi-3-mini's
    48 is). The published decoders use torch's, and 4,000 positions on, that bit is seen in the logits at 2e-5; so this
    decoder uses it too.
    """
    pairs = torch.arange(0, rope.head_dim, 2, dtype=torch.float32, device="cpu") / rope.head_dim
    stretch = torch.tensor(factors or [1.0] * len(pairs), dtype=torch.float32, device="cpu")
    table: list[float] = (1.0 / (stretch * rope.rope_theta**pairs)).tolist()
    return table


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate queries or keys to their positions.

    Args:
        x: (B, T, H, E).
        cos, sin: (T, 1, E/2) or (B, T, 1, E/2), from `Rotary`.

    Returns:
        (B, T, H, E) in the dtype of `x`: turned in single precision and rounded once, because single-precision
        queries beside bfloat16 values would send attention down its slow path. Pair i is features
        (i, i + E/2), as in the published weights.
    """
    first, second = x.float().chunk(2, dim=-1)
    rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return rotated.to(x.dtype)
