"""Round to nearest: never worse than the plain grid, and near what theory says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.packing import Grid, dequantize, pack, round_to_nearest
from pocketphi.quant.rtn import group_errors, pays_minimum, round_best

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal((64, 512)).astype(np.float32)


def relative_error(weights: np.ndarray, grid: Grid) -> float:
    return float(((grid.dequantize() - weights) ** 2).sum() / (weights**2).sum())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 150),
    group=st.sampled_from([32, 64, 128]),
    bits=st.sampled_from([4, 8]),
    minimum=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_no_group_is_worse_than_on_the_plain_grid(
    rows: int, cols: int, group: int, bits: int, minimum: bool, seed: int
):
    weights = (np.random.default_rng(seed).standard_t(3, (rows, cols)) * 0.02).astype(np.float32)
    plain, best = (f(weights, bits, group, minimum) for f in (round_to_nearest, round_best))
    assert best.format == plain.format
    assert (group_errors(weights, best) <= group_errors(weights, plain)).all()
    np.testing.assert_array_equal(dequantize(pack(best)), best.dequantize())


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("minimum", [False, True])
def test_the_search_pays_on_normal_weights(group: int, minimum: bool):
    plain, best = (relative_error(NORMAL, f(NORMAL, 4, group, minimum)) for f in (round_to_nearest, round_best))
    assert best < 0.98 * plain
    assert best < 0.012


def test_every_weight_is_at_its_nearest_point():
    grid = round_best(NORMAL, 4, 64)
    steps = np.repeat(grid.scales.astype(np.float32), 64, axis=1)
    for shift in (-1, 1):
        other = np.clip(grid.codes.astype(int) + shift, 0, 15)
        shifted = (other - 8) * steps
        assert (np.abs(shifted - NORMAL) >= np.abs(grid.dequantize() - NORMAL) - 1e-6).all()


def test_more_bits_and_smaller_groups_are_better():
    errors = [relative_error(NORMAL, round_best(NORMAL, *form)) for form in ((8, 64), (4, 32), (4, 64), (4, 128))]
    assert errors == sorted(errors)
    assert errors[0] < errors[1] / 100


def test_lopsided_weights_take_a_minimum_and_even_ones_do_not():
    assert pays_minimum(np.abs(NORMAL), 4, 64)
    assert not pays_minimum(NORMAL, 4, 64)
    # The rule by hand: the minimum's 16 bits per group must divide the squared error by 4^(16 / group).
    plain, shifted = (relative_error(np.abs(NORMAL), round_best(np.abs(NORMAL), 4, 64, m)) for m in (False, True))
    assert math.log(plain / shifted, 4) > 16 / 64


def test_constant_and_zero_groups_stay_exact():
    weights = np.zeros((33, 96), np.float32)
    weights[1] = 0.5
    for minimum in (False, True):
        np.testing.assert_array_equal(round_best(weights, 4, 64, minimum).dequantize()[:2], weights[:2])


def test_group_errors_add_up():
    grid = round_best(NORMAL[:, :200], 4, 64)
    errors = group_errors(NORMAL[:, :200], grid)
    assert errors.shape == (64, 4)
    assert errors.sum() == pytest.approx(((grid.dequantize() - NORMAL[:, :200]) ** 2).sum(), rel=1e-5)
