"""Round to nearest: the 4 or 8 bit grid that is closest to a matrix, without looking at what it is used for.

The grid that spans a group spends its steps on the largest weights. Where those are few, a narrower grid that
cuts them off has a smaller squared error over the group, so several widths are tried and the best is kept for
every group (the usual search for a clipping range, as in AWQ, Lin et al. 2023, section 3.2, without activations).

A minimum per group saves the half step that a symmetric grid wastes on a lopsided group, and costs 16 bits. An
extra bit per weight divides the squared error by four, so those 16 bits pay if they divide it by 4^(16 / group):
`pays_minimum` measures that.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pocketphi.packing import Grid, round_to_nearest

T = TypeVar("T", bound=np.generic)
WIDTHS = (1.0, 0.92, 0.84, 0.76)
"""Parts of a group's range that a 4-bit grid may span."""
_MINIMUM_BITS = 16


def round_best(weights: npt.NDArray[np.float32], bits: int, group: int, minimum: bool = False) -> Grid:
    """Round weights to the grid of least squared error among several widths.

    Args:
        weights: (rows, cols) finite numbers.
        bits: 4 or 8; at 8 the error of the full width is small enough.
        group: columns that share a scale.
        minimum: whether to store a minimum per group too.

    Raises:
        UserError: as `round_to_nearest`.
    """
    best = round_to_nearest(weights, bits, group, minimum)
    if bits > 4:
        return best
    starts = np.arange(0, weights.shape[1], group)
    low, high = (reduce(weights, starts, axis=1) for reduce in (np.minimum.reduceat, np.maximum.reduceat))
    if not minimum:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    middle, half = (low + high) / 2, (high - low) / 2
    errors = group_errors(weights, best)
    codes, scales = best.codes, best.scales
    minima = best.minima
    for width in WIDTHS[1:]:
        reach = half * np.float32(width)
        bottom, top = (_widened(edge, group, weights.shape[1]) for edge in (middle - reach, middle + reach))
        grid = round_to_nearest(np.clip(weights, bottom, top), bits, group, minimum)
        found = group_errors(weights, grid)
        better = found < errors
        errors = np.where(better, found, errors)
        codes = np.where(_widened(better, group, weights.shape[1]), grid.codes, codes)
        scales = np.where(better, grid.scales, scales)
        if minima is not None and grid.minima is not None:
            minima = np.where(better, grid.minima, minima)
    return Grid(format=best.format, group=group, codes=codes, scales=scales, minima=minima)


def group_errors(weights: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.float32]:
    """(rows, groups) squared error of a grid, summed over each group."""
    difference = grid.dequantize()
    difference -= weights
    difference *= difference
    errors: npt.NDArray[np.float32] = np.add.reduceat(difference, np.arange(0, weights.shape[1], grid.group), axis=1)
    return errors


def pays_minimum(weights: npt.NDArray[np.float32], bits: int, group: int) -> bool:
    """Whether a minimum per group is worth its bits for weights like these (rows, cols)."""
    plain, shifted = (
        float(group_errors(weights, round_best(weights, bits, group, minimum)).sum(dtype=np.float64))
        for minimum in (False, True)
    )
    return shifted * 4 ** (_MINIMUM_BITS / group) < plain


def _widened(values: npt.NDArray[T], group: int, cols: int) -> npt.NDArray[T]:
    """A value per group as one per column."""
    return np.repeat(values, group, axis=1)[:, :cols]
