"""Round to nearest: which 4-bit grid suits a matrix, judged by the squared error of its own weights.

`packing.round_to_nearest` spans a grid over each group of weights. A minimum per group saves the steps that a
symmetric grid wastes on a lopsided group, and costs 16 bits. An extra bit per weight divides the squared error by
four, so these 16 bits pay if they divide it by 4^(16 / group) at least: `pays_minimum` measures that.
"""

import numpy as np
import numpy.typing as npt

from pocketphi.packing import WeightFormat, round_to_nearest
from pocketphi.quant.pack import Form

_MINIMUM_BITS = 16
_SAMPLE_WEIGHTS = 1 << 19
"""Weights of a matrix that decide."""


def best_form(weights: npt.NDArray[np.float32], bits: int, group: int) -> Form:
    """The form of a matrix (rows, cols) at these bits. At 8 the error is too small for a minimum to matter."""
    return WeightFormat(f"q{bits}{'m' if bits == 4 and pays_minimum(weights, bits, group) else ''}"), group


def class_of(name: str, num_layers: int) -> str:
    """What a matrix is measured with: `embed_tokens`, `first.qkv_proj`, `inner.down_proj`, `last.o_proj`, ...

    The first and the last layer stand apart: rounding them costs several times what it costs inside.
    """
    parts = name.split(".")
    if "layers" not in parts:
        return parts[-2]
    layer = int(parts[parts.index("layers") + 1])
    place = "first" if layer == 0 else "last" if layer == num_layers - 1 else "inner"
    return f"{place}.{parts[-2]}"


def sample_step(num_weights: int) -> int:
    """Every how many rows of a matrix are enough for `best_form`."""
    return max(1, num_weights // _SAMPLE_WEIGHTS)


def rounded(weights: npt.NDArray[np.float32], form: Form) -> npt.NDArray[np.float32]:
    """What weights become in a quantized form."""
    kind, group = form
    return round_to_nearest(weights, kind.bits, group, kind.has_minimum).dequantize()


def pays_minimum(weights: npt.NDArray[np.float32], bits: int, group: int) -> bool:
    """Whether a minimum per group is worth its bits for weights like these (rows, cols)."""
    plain, shifted = (
        float(np.square(round_to_nearest(weights, bits, group, minimum).dequantize() - weights).sum(dtype=np.float64))
        for minimum in (False, True)
    )
    return shifted * 4 ** (_MINIMUM_BITS / group) < plain
