"""The weight formats and their packed layout: the one definition, in NumPy.

A quantized matrix is a `Grid`: a small integer code per weight, and per row and group of columns a
half-precision scale (and, for the formats with one, a minimum). `pack` puts a grid into the order in
which the engine reads it, so that a file can be mapped and used without another copy.

Rows are cut in blocks of 32, columns in groups. One block and group make one piece:

    32 scales, [32 minima,] then chunks of 128 bytes: rows 0..15, then rows 16..31
    4 bit: a chunk holds 8 columns;  byte 4r + j of a half: column j low, column 4 + j high
    8 bit: a chunk holds 4 columns;  byte 4r + j of a half: column j

so that one 64-byte load is an operand of an integer dot product whose lane r is row r. Missing rows of
the last block have scale (and minimum) zero; a short last group is padded to a multiple of 8 columns
with codes that mean zero. 16-bit matrices have no groups: 32 values per column. Vectors stay float32.
Every tensor is padded with zero bytes to a multiple of 64.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pocketphi.errors import UserError

ROW_BLOCK = 32
ALIGNMENT = 64
_COLUMN_UNIT = 8  # a short last group is padded to a multiple of this many columns

T = TypeVar("T", bound=np.generic)


class WeightFormat(StrEnum):
    """How the numbers of a tensor are stored. `docs/format.md` states what each code means."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q4 = "q4"
    """weight = (code - 8) * scale, codes 0..15."""
    Q4M = "q4m"
    """weight = code * scale + minimum, codes 0..15."""
    Q8 = "q8"
    """weight = (code - 128) * scale, codes 0..255."""
    Q8M = "q8m"
    """weight = code * scale + minimum, codes 0..255."""

    @property
    def bits(self) -> int:
        """Bits of one stored number, scales not counted."""
        return {"f32": 32, "f16": 16, "bf16": 16}.get(self.value, int(self.value[1]) if self.value[0] == "q" else 0)

    @property
    def is_quantized(self) -> bool:
        return self.value[0] == "q"

    @property
    def has_minimum(self) -> bool:
        return self.value.endswith("m")

    @property
    def zero_code(self) -> int:
        """The code that stands for zero (in the formats with a minimum: whose part in a sum is skipped)."""
        return {"q4": 8, "q8": 128}.get(self.value, 0)

    @property
    def groups(self) -> tuple[int, ...]:
        """Group sizes that the format allows; 0 means that it has no groups."""
        if not self.is_quantized:
            return (0,)
        return (32, 64, 128) if self.bits == 4 else (16, 32, 64, 128)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """A quantized matrix before packing.

    `codes` (rows, cols) uint8; `scales` and `minima` (rows, ceil(cols / group)) float16, `minima` None
    unless the format has them.
    """

    format: WeightFormat
    group: int
    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]
    minima: npt.NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        check_group(self.format, self.group)
        rows, cols = self.codes.shape
        expected = (rows, -(-cols // self.group))
        if self.scales.shape != expected or (self.minima is not None and self.minima.shape != expected):
            raise ValueError(
                f"scales {self.scales.shape} do not fit codes {self.codes.shape} in groups of {self.group}"
            )
        if (self.minima is not None) != self.format.has_minimum:
            raise ValueError(f"minima given or missing for format {self.format}")

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    def rows(self, index: slice | npt.NDArray[np.intp]) -> "Grid":
        """The grid of some of the rows, in the order asked for."""
        minima = None if self.minima is None else self.minima[index]
        return replace(self, codes=self.codes[index], scales=self.scales[index], minima=minima)

    def dequantize(self) -> npt.NDArray[np.float32]:
        """The weights as (rows, cols) float32: code times scale is exact, adding a minimum rounds once."""
        cols = self.codes.shape[1]

        def widen(values: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
            return np.repeat(values.astype(np.float32), self.group, axis=1)[:, :cols]

        weights = self.codes.astype(np.float32)
        weights -= self.format.zero_code
        weights *= widen(self.scales)
        if self.minima is not None:
            weights += widen(self.minima)
        return weights


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedTensor:
    """A tensor in the engine's layout. `data` holds exactly `packed_bytes(format, group, *shape)` bytes."""

    format: WeightFormat
    group: int
    shape: tuple[int, int]
    """(rows, columns) of the matrix that was packed; vectors have one row."""
    data: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        expected = packed_bytes(self.format, self.group, *self.shape)
        if self.data.dtype != np.uint8 or self.data.shape != (expected,):
            raise ValueError(f"{self.format} tensor {self.shape} takes {expected} bytes, not {self.data.shape}")


def check_group(weight_format: WeightFormat, group: int) -> None:
    """Raise `UserError` unless the format comes in groups of this size."""
    if group not in weight_format.groups:
        allowed = ", ".join(map(str, weight_format.groups))
        raise UserError(f"weight format `{weight_format}` does not come in groups of {group}, allowed: {allowed}")


def packed_bytes(weight_format: WeightFormat, group: int, rows: int, cols: int) -> int:
    """Bytes of a packed tensor, padding included."""
    check_group(weight_format, group)
    if weight_format is WeightFormat.F32:
        return _round_up(4 * rows * cols, ALIGNMENT)
    blocks = -(-rows // ROW_BLOCK)
    if not weight_format.is_quantized:
        return blocks * cols * ROW_BLOCK * 2
    full, rest = divmod(cols, group)
    return blocks * (full * _piece_bytes(weight_format, group) + (_piece_bytes(weight_format, rest) if rest else 0))


def pack(grid: Grid) -> PackedTensor:
    """Put a grid into the engine's layout."""
    rows, cols = grid.shape
    full, rest = divmod(cols, grid.group)
    blocks = -(-rows // ROW_BLOCK)
    out = np.empty((blocks, packed_bytes(grid.format, grid.group, ROW_BLOCK, cols)), np.uint8)
    split = full * grid.group
    border = full * _piece_bytes(grid.format, grid.group)
    if full:
        _fill(out[:, :border], grid, slice(0, split), slice(0, full), grid.group)
    if rest:
        _fill(out[:, border:], grid, slice(split, cols), slice(full, full + 1), _round_up(rest, _COLUMN_UNIT))
    return PackedTensor(format=grid.format, group=grid.group, shape=(rows, cols), data=out.reshape(-1))


def unpack(tensor: PackedTensor) -> Grid:
    """The grid that was packed; the inverse of `pack`."""
    if not tensor.format.is_quantized:
        raise ValueError(f"a {tensor.format} tensor has no grid")
    rows, cols = tensor.shape
    parts = [_read(pieces, tensor.format) for pieces in _pieces(tensor)]
    scales, minima, codes = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    return Grid(
        format=tensor.format,
        group=tensor.group,
        codes=codes[:rows, :cols],
        scales=scales[:rows].view(np.float16),
        minima=minima[:rows].view(np.float16) if tensor.format.has_minimum else None,
    )


def pack_half(weight_format: WeightFormat, values: npt.NDArray[np.uint16]) -> PackedTensor:
    """Pack a 16-bit matrix, given as (rows, cols) bit patterns of float16 or bfloat16."""
    if weight_format not in (WeightFormat.F16, WeightFormat.BF16):
        raise ValueError(f"{weight_format} is not a 16-bit format")
    rows, cols = values.shape
    padded = _pad_rows(values, 0).reshape(-1, ROW_BLOCK, cols)
    data = np.ascontiguousarray(padded.transpose(0, 2, 1)).astype("<u2", copy=False)
    return PackedTensor(format=weight_format, group=0, shape=(rows, cols), data=data.reshape(-1).view(np.uint8))


def unpack_half(tensor: PackedTensor) -> npt.NDArray[np.uint16]:
    """The (rows, cols) bit patterns that `pack_half` got."""
    rows, cols = tensor.shape
    blocks = tensor.data.view("<u2").reshape(-1, cols, ROW_BLOCK)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1)).reshape(-1, cols)[:rows].astype(np.uint16, copy=False)


def pack_vector(values: npt.NDArray[np.float32]) -> PackedTensor:
    """Store a vector as float32, as one row."""
    data = np.zeros(_round_up(4 * values.size, ALIGNMENT), np.uint8)
    data[: 4 * values.size] = values.astype("<f4").reshape(-1).view(np.uint8)
    return PackedTensor(format=WeightFormat.F32, group=0, shape=(1, values.size), data=data)


def dequantize(tensor: PackedTensor) -> npt.NDArray[np.float32]:
    """Any packed tensor as (rows, cols) float32."""
    if tensor.format is WeightFormat.F32:
        count = tensor.shape[0] * tensor.shape[1]
        return tensor.data[: 4 * count].view("<f4").astype(np.float32).reshape(tensor.shape)
    if tensor.format is WeightFormat.F16:
        return unpack_half(tensor).view(np.float16).astype(np.float32)
    if tensor.format is WeightFormat.BF16:
        return widen_bfloat16(unpack_half(tensor))
    return unpack(tensor).dequantize()


def is_finite(tensor: PackedTensor) -> bool:
    """Whether no number of a tensor is NaN or infinite: its weights, or its scales and minima."""
    if tensor.format is WeightFormat.F32:
        return bool(np.isfinite(tensor.data.view("<f4")).all())
    exponent = np.uint16(0x7F80 if tensor.format is WeightFormat.BF16 else 0x7C00)
    if tensor.format.is_quantized:
        sides = [pieces[:, :, : _side_bytes(tensor.format)].view("<u2") for pieces in _pieces(tensor)]
    else:
        sides = [tensor.data.view("<u2")]
    return not any(((side & exponent) == exponent).any() for side in sides)


def interleave_gate_up(gate: npt.NDArray[T], up: npt.NDArray[T], fill: int = 0) -> npt.NDArray[T]:
    """Alternate blocks of 32 gate rows and 32 up rows, so that one block pair makes 32 activations.

    Args:
        gate: (F, ...) rows of the gate projection, or their scales or minima.
        up: (F, ...) the same of the up projection.
        fill: what the rows hold that pad the last block.

    Returns:
        (2 * F rounded up to 32, ...): gate 0..31, up 0..31, gate 32..63, ...
    """
    halves = [_pad_rows(half, fill).reshape(-1, ROW_BLOCK, *half.shape[1:]) for half in (gate, up)]
    return np.stack(halves, axis=1).reshape(-1, *gate.shape[1:])


def interleave_grid(gate_up: Grid) -> Grid:
    """`interleave_gate_up` of a grid whose first half of rows is the gate and second half the up projection."""

    def apply(values: npt.NDArray[T], fill: int = 0) -> npt.NDArray[T]:
        gate, up = np.split(values, 2)
        return interleave_gate_up(gate, up, fill)

    minima = None if gate_up.minima is None else apply(gate_up.minima)
    codes = apply(gate_up.codes, gate_up.format.zero_code)
    return replace(gate_up, codes=codes, scales=apply(gate_up.scales), minima=minima)


def round_to_nearest(weights: npt.NDArray[np.float32], bits: int, group: int, minimum: bool = False) -> Grid:
    """Round weights to the nearest point of a grid that spans each group.

    Without a minimum, the number of largest magnitude in a group falls on the lowest code, so the scale
    carries its sign and the whole code range is used; with one, codes span lowest to highest.

    Args:
        weights: (rows, cols) finite numbers.
        bits: 4 or 8.
        group: columns that share a scale.
        minimum: whether to store a minimum per group too.

    Raises:
        UserError: a weight is not finite, or too large for a half-precision scale.
    """
    weight_format = WeightFormat(f"q{bits}{'m' if minimum else ''}")
    check_group(weight_format, group)
    rows, cols = weights.shape
    groups = -(-cols // group)
    # The padding repeats the last column, so it never widens a group's range.
    missing = groups * group - cols
    padded = np.pad(weights, ((0, 0), (0, missing)), mode="edge") if missing else weights
    cells = padded.reshape(rows, groups, group)
    top = (1 << bits) - 1
    low, high = cells.min(axis=2), cells.max(axis=2)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        if minimum:
            minima = low.astype(np.float16)
            scales = ((high - minima.astype(np.float32)) / np.float32(top)).astype(np.float16)
        else:
            minima = None
            scales = (np.where(-low >= high, low, high) / np.float32(-weight_format.zero_code)).astype(np.float16)
    if not (np.isfinite(scales).all() and (minima is None or np.isfinite(minima).all())):
        raise UserError("a weight is not finite, or too large for a half-precision scale (65504 times the code range)")
    steps = scales.astype(np.float32)
    # A group whose scale rounds to zero is all (nearly) zero: any code will do, take the one for zero.
    inverse = np.divide(np.float32(1), steps, out=np.zeros_like(steps), where=steps != 0)[:, :, None]
    codes = (cells if minima is None else cells - minima.astype(np.float32)[:, :, None]) * inverse
    np.rint(codes, out=codes)
    codes += weight_format.zero_code
    np.clip(codes, 0, top, out=codes)
    whole = codes.astype(np.uint8).reshape(rows, -1)[:, :cols]
    return Grid(format=weight_format, group=group, codes=whole, scales=scales, minima=minima)


def widen_bfloat16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """bfloat16 bit patterns as float32: exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Finite float32 numbers as bfloat16 bit patterns, rounded half to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def _side_bytes(weight_format: WeightFormat) -> int:
    """Bytes of a piece before its chunks: the scales, and the minima where there are any."""
    return ROW_BLOCK * 2 * (2 if weight_format.has_minimum else 1)


def _piece_bytes(weight_format: WeightFormat, cols: int) -> int:
    """Bytes of one row block and one group of `cols` columns."""
    return _side_bytes(weight_format) + _round_up(cols, _COLUMN_UNIT) * ROW_BLOCK * weight_format.bits // 8


def _pieces(tensor: PackedTensor) -> Iterator[npt.NDArray[np.uint8]]:
    """Views of a tensor's pieces as (blocks, groups, bytes): those of full groups, then the short last one."""
    full, rest = divmod(tensor.shape[1], tensor.group)
    data = tensor.data.reshape(-(-tensor.shape[0] // ROW_BLOCK), -1)
    border = full * _piece_bytes(tensor.format, tensor.group)
    for part, count in ((data[:, :border], full), (data[:, border:], 1 if rest else 0)):
        if count:
            yield part.reshape(len(part), count, -1)


def _fill(out: npt.NDArray[np.uint8], grid: Grid, cols: slice, groups: slice, width: int) -> None:
    """Write pieces of `width` columns each into `out` (blocks, bytes)."""
    blocks = len(out)
    count = groups.stop - groups.start
    pieces = out.reshape(blocks, count, -1)
    codes = _pad_rows(grid.codes[:, cols], grid.format.zero_code)
    missing = count * width - codes.shape[1]
    if missing:
        codes = np.pad(codes, ((0, 0), (0, missing)), constant_values=grid.format.zero_code)
    # Four neighbouring columns of a row always stay together: move them as one 32-bit word.
    words = np.ascontiguousarray(codes).view("<u4").reshape(blocks, ROW_BLOCK, count, width // 4)
    if grid.format.bits == 4:
        words = words[..., 0::2] | (words[..., 1::2] << np.uint32(4))
    ordered = np.ascontiguousarray(words.transpose(0, 2, 3, 1))
    start = 0
    for side in (grid.scales, grid.minima):
        if side is not None:
            values = _pad_rows(side[:, groups].astype("<f2", copy=False).view(np.uint16), 0)
            lines = np.ascontiguousarray(values.reshape(blocks, ROW_BLOCK, count).transpose(0, 2, 1))
            pieces[:, :, start : start + 64] = lines.view(np.uint8)
            start += 64
    pieces[:, :, start:] = ordered.reshape(blocks, count, -1).view(np.uint8)


def _read(
    pieces: npt.NDArray[np.uint8], weight_format: WeightFormat
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Scales, minima (zeros if the format has none) and codes of pieces of equal width, by row."""
    blocks, count, _ = pieces.shape

    def side(start: int) -> npt.NDArray[np.uint16]:
        lines = np.ascontiguousarray(pieces[:, :, start : start + 64]).view("<u2")
        return np.ascontiguousarray(lines.transpose(0, 2, 1)).reshape(blocks * ROW_BLOCK, count)

    scales = side(0)
    minima = side(64) if weight_format.has_minimum else np.zeros_like(scales)
    chunks = np.ascontiguousarray(pieces[:, :, _side_bytes(weight_format) :]).view("<u4")
    by_row = chunks.reshape(blocks, count, -1, ROW_BLOCK).transpose(0, 3, 1, 2)
    if weight_format.bits == 4:
        low, high = by_row & np.uint32(0x0F0F0F0F), (by_row >> np.uint32(4)) & np.uint32(0x0F0F0F0F)
        by_row = np.stack((low, high), axis=-1)
    codes = np.ascontiguousarray(by_row).view(np.uint8).reshape(blocks * ROW_BLOCK, -1)
    return scales, minima, codes


def _pad_rows(values: npt.NDArray[T], fill: int) -> npt.NDArray[T]:
    missing = -len(values) % ROW_BLOCK
    if not missing:
        return values
    return np.pad(values, ((0, missing), *((0, 0),) * (values.ndim - 1)), constant_values=fill)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
