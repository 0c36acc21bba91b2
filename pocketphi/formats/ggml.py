"""The number formats of GGUF files: what their bytes mean, by the definition of ggml.

All of them are grids at heart: a small code per weight, and per group of neighbouring columns a scale
and perhaps a minimum. The plain types store both in half precision, so they are our grids in another
order of bytes. The K types store a group's scale as the product of a half and a 6 or 8 bit integer,
which takes more bits than a half has: rounding it is the one loss of an import, at most 2**-11 of the
scale (and of the minimum).

    type        group  weight                     our format
    Q4_0          32   (code - 8) * d             q4, exact
    Q4_1          32   code * d + m               q4m, exact
    Q5_0          32   (code - 16) * d            q8, exact
    Q5_1          32   code * d + m               q8m, exact
    Q8_0          32   code * d, code signed      q8, exact
    Q4_K          32   code * (d*s) - (dmin*m)    q4m, d*s and dmin*m rounded to half
    Q5_K          32   code * (d*s) - (dmin*m)    q8m, the same
    Q6_K          16   (code - 32) * (d*s)        q8, d*s rounded to half
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pocketphi.errors import UserError
from pocketphi.packing import Grid, WeightFormat, widen_bfloat16

Bytes = npt.NDArray[np.uint8]


class GgmlType(IntEnum):
    """Tensor types that are read, by their number in the file."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    BF16 = 30

    @property
    def block(self) -> tuple[int, int]:
        """(weights, bytes) of the unit that a row is made of."""
        return _BLOCKS[self]

    @property
    def is_quantized(self) -> bool:
        return self.block[0] > 1


_BLOCKS = {
    GgmlType.F32: (1, 4),
    GgmlType.F16: (1, 2),
    GgmlType.BF16: (1, 2),
    GgmlType.Q4_0: (32, 2 + 16),
    GgmlType.Q4_1: (32, 4 + 16),
    GgmlType.Q5_0: (32, 2 + 4 + 16),
    GgmlType.Q5_1: (32, 4 + 4 + 16),
    GgmlType.Q8_0: (32, 2 + 32),
    GgmlType.Q4_K: (256, 4 + 12 + 128),
    GgmlType.Q5_K: (256, 4 + 12 + 32 + 128),
    GgmlType.Q6_K: (256, 128 + 64 + 16 + 2),
}

OTHER_TYPES = {
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
}
"""Types that exist and are not read, for the error message."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Codes:
    """Decoded blocks: weight = (code - zero) * scale [+ minimum].

    `codes` (rows, cols) uint8; `scales` and `minima` (rows, groups) float32, exact.
    """

    codes: Bytes
    zero: int
    scales: npt.NDArray[np.float32]
    minima: npt.NDArray[np.float32] | None = None


def to_grid(kind: GgmlType, data: Bytes) -> Grid:
    """Rows of a quantized type as one of our grids; the module says which, and what is lost.

    Args:
        data: (rows, bytes per row) as in the file.

    Raises:
        UserError: a scale is not finite, or does not fit half precision.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        decoded = _decode(kind, data)
        scales = decoded.scales.astype(np.float16)
        minima = None if decoded.minima is None else decoded.minima.astype(np.float16)
    if not (np.isfinite(scales).all() and (minima is None or np.isfinite(minima).all())):
        raise UserError("a scale or minimum is not finite, or larger than half precision holds (65504)")
    bits = 4 if kind in (GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q4_K) else 8
    weight_format = WeightFormat(f"q{bits}" if minima is None else f"q{bits}m")
    return Grid(
        format=weight_format,
        group=decoded.codes.shape[1] // scales.shape[1],
        codes=decoded.codes + np.uint8(weight_format.zero_code - decoded.zero),
        scales=scales,
        minima=minima,
    )


def to_float(kind: GgmlType, data: Bytes) -> npt.NDArray[np.float32]:
    """Rows of any type as float32 (rows, cols): exactly ggml's reference dequantization."""
    if kind is GgmlType.F32:
        return data.view("<f4").astype(np.float32, copy=False)
    if kind is GgmlType.F16:
        return data.view("<f2").astype(np.float32)
    if kind is GgmlType.BF16:
        return widen_bfloat16(data.view("<u2"))
    with np.errstate(over="ignore", invalid="ignore"):  # NaN and infinity give what they give in ggml
        decoded = _decode(kind, data)
        rows, cols = decoded.codes.shape
        weights = decoded.codes.reshape(rows, decoded.scales.shape[1], -1).astype(np.float32)
        weights -= np.float32(decoded.zero)
        weights *= decoded.scales[:, :, None]
        if decoded.minima is not None:
            weights += decoded.minima[:, :, None]
    return weights.reshape(rows, cols)


def _decode(kind: GgmlType, data: Bytes) -> _Codes:
    rows = len(data)
    blocks = data.reshape(rows, -1, kind.block[1])
    if kind is GgmlType.Q4_0:
        return _Codes(codes=_nibbles(blocks[:, :, 2:], 16), zero=8, scales=_halves(blocks, 0))
    if kind is GgmlType.Q4_1:
        codes = _nibbles(blocks[:, :, 4:], 16)
        return _Codes(codes=codes, zero=0, scales=_halves(blocks, 0), minima=_halves(blocks, 2))
    if kind is GgmlType.Q5_0:
        codes = _nibbles(blocks[:, :, 6:], 16) | _fifth_bits(blocks[:, :, 2:6])
        return _Codes(codes=codes, zero=16, scales=_halves(blocks, 0))
    if kind is GgmlType.Q5_1:
        codes = _nibbles(blocks[:, :, 8:], 16) | _fifth_bits(blocks[:, :, 4:8])
        return _Codes(codes=codes, zero=0, scales=_halves(blocks, 0), minima=_halves(blocks, 2))
    if kind is GgmlType.Q8_0:
        # A signed byte and a byte offset by 128 differ in the top bit only.
        codes = (blocks[:, :, 2:] ^ np.uint8(0x80)).reshape(rows, -1)
        return _Codes(codes=codes, zero=128, scales=_halves(blocks, 0))
    if kind is GgmlType.Q6_K:
        return _decode_q6_k(blocks)
    scales, minima = _six_bit_pairs(blocks[:, :, 4:16])
    sides = {
        "scales": (_halves(blocks, 0)[:, :, None] * scales).reshape(rows, -1),
        "minima": -(_halves(blocks, 2)[:, :, None] * minima).reshape(rows, -1),
    }
    if kind is GgmlType.Q4_K:
        return _Codes(codes=_nibbles(blocks[:, :, 16:], 32), zero=0, **sides)
    # Q5_K: bit i of byte j of the 32 bytes is the fifth bit of weight j of group i.
    fifth = (blocks[:, :, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None]) & np.uint8(1)
    codes = _nibbles(blocks[:, :, 48:], 32) | (fifth << np.uint8(4)).reshape(rows, -1)
    return _Codes(codes=codes, zero=0, **sides)


def _decode_q6_k(blocks: Bytes) -> _Codes:
    """Halves of 128 weights, each four runs of 32: low nibbles of 64 bytes, then high; 2 top bits in 32 bytes."""
    rows = len(blocks)
    low = _nibbles(blocks[:, :, :128], 64).reshape(rows, -1, 32)
    top = blocks[:, :, 128:192].reshape(rows, -1, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None]
    codes = low | ((top & np.uint8(3)) << np.uint8(4)).reshape(rows, -1, 32)
    steps = blocks[:, :, 192:208].view(np.int8).astype(np.float32)
    scales = (_halves(blocks, 208)[:, :, None] * steps).reshape(rows, -1)
    return _Codes(codes=codes.reshape(rows, -1), zero=32, scales=scales)


def _nibbles(packed: Bytes, run: int) -> Bytes:
    """Codes of (rows, blocks, bytes): of every `run` bytes the low nibbles in order, then the high ones."""
    runs = packed.reshape(len(packed), -1, run)
    return np.stack((runs & np.uint8(15), runs >> np.uint8(4)), axis=2).reshape(len(packed), -1)


def _fifth_bits(packed: Bytes) -> Bytes:
    """The fifth bit of 32 codes per 4 bytes, in place (value 16)."""
    return np.unpackbits(packed, axis=2, bitorder="little").reshape(len(packed), -1) << np.uint8(4)


def _six_bit_pairs(packed: Bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scales and minima of 8 groups, 6 bits each, from 12 bytes: (rows, blocks, 8) each.

    Bytes 0..3 hold the low six bits of scales 0..3, bytes 4..7 of minima 0..3; bytes 8..11 the low four
    bits of scales 4..7 and (high nibble) minima 4..7, whose top two bits are those of bytes 0..3 and 4..7.
    """
    scale_bytes, minimum_bytes, shared = packed[:, :, 0:4], packed[:, :, 4:8], packed[:, :, 8:12]
    six, four, two = np.uint8(63), np.uint8(15), np.uint8(0x30)
    scales = (scale_bytes & six, (shared & four) | ((scale_bytes >> np.uint8(2)) & two))
    minima = (minimum_bytes & six, (shared >> np.uint8(4)) | ((minimum_bytes >> np.uint8(2)) & two))
    return np.concatenate(scales, axis=2).astype(np.float32), np.concatenate(minima, axis=2).astype(np.float32)


def _halves(blocks: Bytes, at: int) -> npt.NDArray[np.float32]:
    """The half-precision number at byte `at` of every block, as (rows, blocks) float32."""
    return np.ascontiguousarray(blocks[:, :, at : at + 2]).view("<f2")[:, :, 0].astype(np.float32)
