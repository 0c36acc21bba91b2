"""The packed layout: what goes in comes out, every byte lies where the layout says, rounding is nearest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.packing import (
    ROW_BLOCK,
    Grid,
    PackedTensor,
    WeightFormat,
    dequantize,
    interleave_gate_up,
    interleave_grid,
    is_finite,
    narrow_bfloat16,
    pack,
    pack_half,
    pack_vector,
    packed_bytes,
    round_to_nearest,
    unpack,
    unpack_half,
    widen_bfloat16,
)

QUANTIZED = [kind for kind in WeightFormat if kind.is_quantized]
FORMS = [(kind, group) for kind in QUANTIZED for group in kind.groups]
SIZES = st.integers(1, 200)


def random_grid(kind: WeightFormat, group: int, rows: int, cols: int, seed: int = 0) -> Grid:
    random = np.random.default_rng(seed)
    sides = random.normal(size=(2, rows, -(-cols // group))).astype(np.float16)
    return Grid(
        format=kind,
        group=group,
        codes=random.integers(0, 1 << kind.bits, (rows, cols)).astype(np.uint8),
        scales=sides[0],
        minima=sides[1] if kind.has_minimum else None,
    )


def layout_by_hand(grid: Grid) -> bytes:
    """The layout as its definition reads, byte by byte."""
    (rows, cols), kind = grid.shape, grid.format
    out = bytearray()
    per_chunk = 8 if kind.bits == 4 else 4
    for block in range(0, rows, ROW_BLOCK):
        for index, begin in enumerate(range(0, cols, grid.group)):
            for side in (grid.scales, grid.minima):
                if side is not None:
                    for row in range(block, block + ROW_BLOCK):
                        out += (side[row, index] if row < rows else np.float16(0)).tobytes()

            def code(row: int, column: int, end: int = min(begin + grid.group, cols)) -> int:
                return int(grid.codes[row, column]) if row < rows and column < end else kind.zero_code

            width = -(-min(grid.group, cols - begin) // 8) * 8
            for chunk in range(begin, begin + width, per_chunk):
                for row in range(block, block + ROW_BLOCK):
                    for j in range(4):
                        high = code(row, chunk + 4 + j) << 4 if kind.bits == 4 else 0
                        out.append(code(row, chunk + j) | high)
    return bytes(out)


@pytest.mark.parametrize(("kind", "group"), FORMS)
@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (32, 128), (33, 129), (70, 7), (64, 264)])
def test_every_byte_lies_where_the_layout_says(kind, group, shape):
    grid = random_grid(kind, group, *shape)
    assert pack(grid).data.tobytes() == layout_by_hand(grid)


@settings(max_examples=150, deadline=None)
@given(form=st.sampled_from(FORMS), rows=SIZES, cols=SIZES, seed=st.integers(0, 2**32))
def test_unpacking_gives_back_what_was_packed(form, rows, cols, seed):
    grid = random_grid(*form, rows, cols, seed)
    packed = pack(grid)
    assert packed.data.nbytes == packed_bytes(*form, rows, cols)
    assert packed.data.nbytes % 64 == 0
    found = unpack(packed)
    assert (found.codes == grid.codes).all()
    assert (found.scales == grid.scales).all()
    assert (found.minima is None) == (grid.minima is None)
    assert grid.minima is None or (found.minima == grid.minima).all()
    assert (dequantize(packed) == grid.dequantize()).all()


@settings(max_examples=50, deadline=None)
@given(kind=st.sampled_from([WeightFormat.F16, WeightFormat.BF16]), rows=SIZES, cols=SIZES, seed=st.integers(0, 2**32))
def test_sixteen_bit_patterns_survive(kind, rows, cols, seed):
    bits = np.random.default_rng(seed).integers(0, 1 << 16, (rows, cols)).astype(np.uint16)
    packed = pack_half(kind, bits)
    assert packed.data.nbytes == packed_bytes(kind, 0, rows, cols)
    assert (unpack_half(packed) == bits).all()


def test_a_sixteen_bit_block_holds_32_rows_of_each_column():
    bits = np.arange(40 * 3, dtype=np.uint16).reshape(40, 3)
    stored = pack_half(WeightFormat.BF16, bits).data.view("<u2").reshape(2, 3, 32)
    assert (stored[0] == bits[:32].T).all()
    assert (stored[1, :, :8] == bits[32:].T).all()
    assert not stored[1, :, 8:].any()


def test_vectors_stay_float32():
    values = np.random.default_rng(0).normal(size=77).astype(np.float32)
    packed = pack_vector(values)
    assert packed.shape == (1, 77)
    assert packed.data.nbytes == 320
    assert (dequantize(packed)[0] == values).all()


@settings(max_examples=100, deadline=None)
@given(form=st.sampled_from(FORMS), rows=st.integers(1, 40), cols=SIZES, seed=st.integers(0, 2**32))
def test_rounding_takes_the_nearest_point_of_the_grid(form, rows, cols, seed):
    kind, group = form
    random = np.random.default_rng(seed)
    weights = (random.normal(size=(rows, cols)) * 10.0 ** random.uniform(-3, 3)).astype(np.float32)
    grid = round_to_nearest(weights, kind.bits, group, kind.has_minimum)
    assert (grid.format, grid.group) == form
    error = np.abs(grid.dequantize() - weights)
    for code in (grid.codes.astype(np.int16) - 1, grid.codes.astype(np.int16) + 1):
        inside = (code >= 0) & (code < 1 << kind.bits)
        other = Grid(
            format=kind, group=group, codes=np.where(inside, code, 0).astype(np.uint8),
            scales=grid.scales, minima=grid.minima,
        )  # fmt: skip
        slack = 1e-5 * np.abs(weights).max() + 1e-7
        assert (error[inside] <= np.abs(other.dequantize() - weights)[inside] + slack).all()


@pytest.mark.parametrize(("kind", "group"), FORMS)
def test_rounding_what_is_on_a_grid_changes_nothing(kind, group):
    grid = random_grid(kind, group, 8, 4 * group)
    grid.codes[:, ::group] = 0
    grid.codes[:, 1::group] = (1 << kind.bits) - 1
    if kind.has_minimum:
        grid.scales[:] = np.abs(grid.scales)
    weights = grid.dequantize()
    again = round_to_nearest(weights, kind.bits, group, kind.has_minimum)
    assert np.abs(again.dequantize() - weights).max() <= 2e-3 * np.abs(weights).max()
    if not kind.has_minimum:
        assert (again.codes == grid.codes).all()


def test_zeros_and_vanishing_weights_round_to_zero():
    weights = np.zeros((2, 64), np.float32)
    weights[1] = 1e-12
    for minimum in (False, True):
        assert not round_to_nearest(weights, 4, 32, minimum).dequantize().any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("minimum", [False, True])
def test_what_half_precision_cannot_scale_is_refused(bad, minimum):
    weights = np.ones((3, 32), np.float32)
    weights[1, 5] = bad
    with pytest.raises(UserError, match="half-precision"):
        round_to_nearest(weights, 4, 32, minimum)


def test_gate_and_up_rows_alternate_in_blocks():
    gate = np.arange(40)[:, None] + np.zeros((1, 2), int)
    rows = interleave_gate_up(gate, 1000 + gate, fill=-1)[:, 0]
    assert rows[:32].tolist() == list(range(32))
    assert rows[32:64].tolist() == list(range(1000, 1032))
    assert rows[64:96].tolist() == [*range(32, 40), *[-1] * 24]
    assert rows[96:].tolist() == [*range(1032, 1040), *[-1] * 24]


@pytest.mark.parametrize("kind", QUANTIZED)
def test_an_interleaved_grid_dequantizes_to_interleaved_weights(kind):
    grid = random_grid(kind, 32, 2 * 40, 50)
    gate, up = np.split(grid.dequantize(), 2)
    assert (interleave_grid(grid).dequantize() == interleave_gate_up(gate, up)).all()


def test_bfloat16_rounds_half_to_even():
    bits = np.array([[0x3F80, 0x3F81, 0xBF80, 0x0001]], np.uint16)
    assert (narrow_bfloat16(widen_bfloat16(bits)) == bits).all()
    halves = widen_bfloat16(bits).view(np.uint32) + np.uint32(0x8000)
    assert narrow_bfloat16(halves.view(np.float32)).tolist() == [[0x3F80, 0x3F82, 0xBF80, 0x0002]]


@pytest.mark.parametrize("kind", list(WeightFormat))
def test_a_number_that_is_not_finite_is_found(kind):
    if kind is WeightFormat.F32:
        packed = pack_vector(np.ones(5, np.float32))
    elif kind.is_quantized:
        packed = pack(random_grid(kind, 32, 40, 70))
    else:
        packed = pack_half(kind, np.full((40, 70), 0x3C00, np.uint16))
    assert is_finite(packed)
    data = packed.data.copy()
    if kind is WeightFormat.F32:
        data.view(np.float32)[2] = np.inf
    elif kind.is_quantized:
        grid = unpack(packed)
        side = grid.minima if grid.minima is not None else grid.scales
        side[37, 2] = np.nan
        data = pack(grid).data
    else:
        data.view(np.uint16)[1000] = 0x7F80 if kind is WeightFormat.BF16 else 0x7C00
    assert not is_finite(PackedTensor(format=kind, group=packed.group, shape=packed.shape, data=data))


def test_a_wrong_group_names_the_allowed_ones():
    with pytest.raises(UserError, match=r"`q4` does not come in groups of 16, allowed: 32, 64, 128"):
        packed_bytes(WeightFormat.Q4, 16, 32, 32)
