"""Round to nearest: every weight at its nearest point, a minimum where it pays."""

import math

import numpy as np
import pytest

from pocketphi.packing import WeightFormat, round_to_nearest
from pocketphi.quant.rtn import best_form, pays_minimum, rounded, sample_step

NORMAL = np.random.default_rng(0).standard_normal((64, 512)).astype(np.float32)


def relative_error(weights: np.ndarray, form: tuple[WeightFormat, int]) -> float:
    return float(((rounded(weights, form) - weights) ** 2).sum() / (weights**2).sum())


def test_every_weight_is_at_its_nearest_point():
    grid = round_to_nearest(NORMAL, 4, 64)
    steps = np.repeat(grid.scales.astype(np.float32), 64, axis=1)
    for shift in (-1, 1):
        shifted = (np.clip(grid.codes.astype(int) + shift, 0, 15) - 8) * steps
        assert (np.abs(shifted - NORMAL) >= np.abs(grid.dequantize() - NORMAL) - 1e-6).all()


def test_more_bits_and_smaller_groups_are_better():
    errors = [relative_error(NORMAL, best_form(NORMAL, *form)) for form in ((8, 64), (4, 32), (4, 64), (4, 128))]
    assert errors == sorted(errors)
    assert errors[0] < errors[1] / 100


@pytest.mark.parametrize("group", [32, 64, 128])
def test_lopsided_weights_take_a_minimum_and_even_ones_do_not(group: int):
    lopsided = np.abs(NORMAL)
    assert best_form(lopsided, 4, group) == (WeightFormat.Q4M, group)
    assert best_form(NORMAL, 4, group) == (WeightFormat.Q4, group)
    assert best_form(lopsided, 8, group) == (WeightFormat.Q8, group)
    # The rule by hand: the minimum's 16 bits per group must divide the squared error by 4^(16 / group).
    plain, shifted = (relative_error(lopsided, (kind, group)) for kind in (WeightFormat.Q4, WeightFormat.Q4M))
    assert math.log(plain / shifted, 4) > 16 / group


def test_a_sample_of_rows_decides_alike():
    heavy = np.random.default_rng(1).standard_t(4, (512, 256)).astype(np.float32)
    for weights in (NORMAL, np.abs(NORMAL), heavy):
        assert pays_minimum(weights, 4, 32) == pays_minimum(weights[::8], 4, 32)
    assert sample_step(1 << 16) == 1
    assert sample_step(1 << 26) == 1 << 7
