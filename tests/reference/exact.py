"""The engine's own arithmetic in NumPy, rounding by rounding, for every weight format.

`docs/engine.md` defines the order of every sum. This decoder follows it with float32 arrays and Python
loops, without cache, batches or threads, so its logits must equal the engine's bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.architecture import DecoderConfig
from pocketphi.packing import Grid, PackedTensor, WeightFormat, dequantize, unpack

Array = NDArray[np.float32]
f32 = np.float32

PAGE = 64
SEGMENT = 4 * PAGE
SMALLEST_EXPONENT = f32(-60.0)
ZERO_BELOW = f32(2.0**-64)
"""A group of activations below this counts as zero."""


@dataclass(frozen=True)
class ExactDecoder:
    """The decoder over the packed tensors of a `.pocket` file."""

    config: DecoderConfig
    tensors: Mapping[str, PackedTensor]
    planes: int = 1
    """Planes of 8 bits that activations are rounded to."""

    def logits(self, tokens: Sequence[int]) -> Array:
        """(T, V) logits of every position."""
        head = "model.embed_tokens.weight" if self.config.tie_word_embeddings else "lm_head.weight"
        return self._matmul(head, self.hidden(tokens))

    def hidden(self, tokens: Sequence[int]) -> Array:
        """(T, D) hidden states after the final norm."""
        config = self.config
        cos, sin = self._rotations(len(tokens))
        x = dequantize(self.tensors["model.embed_tokens.weight"])[np.asarray(tokens)]
        for layer in range(config.num_hidden_layers):
            prefix = f"model.layers.{layer}"
            normed = self._norm(x, f"{prefix}.input_layernorm.weight")
            qkv = self._matmul(f"{prefix}.self_attn.qkv_proj.weight", normed)
            attended = attend(config, qkv, cos, sin)
            x = x + self._matmul(f"{prefix}.self_attn.o_proj.weight", attended)
            normed = self._norm(x, f"{prefix}.post_attention_layernorm.weight")
            gate_up = self._matmul(f"{prefix}.mlp.gate_up_proj.weight", normed)
            activated = silu_multiply(gate_up)[:, : config.intermediate_size]
            x = x + self._matmul(f"{prefix}.mlp.down_proj.weight", activated)
        return self._norm(x, "model.norm.weight")

    def _matmul(self, name: str, x: Array) -> Array:
        """The product with one matrix; of quantized ones, the planes' products summed."""
        weight = self.tensors[name]
        product = matmul(weight, x)
        if self.planes == 1 or not weight.format.is_quantized:
            return product
        return product + matmul(weight, remainder(x, weight.group))

    def _norm(self, x: Array, name: str) -> Array:
        return rms_norm(x, dequantize(self.tensors[name])[0], f32(self.config.rms_norm_eps))

    def _rotations(self, length: int) -> tuple[Array, Array]:
        rope = self.config.rope
        is_long = rope.is_long and length > rope.original_max_position_embeddings
        frequencies = dequantize(self.tensors["rope.inv_freq_long" if is_long else "rope.inv_freq"])[0]
        angles = np.arange(length, dtype=f32)[:, None] * frequencies
        factor = f32(rope.attention_factor)
        turned = angles.astype(np.float64)
        return np.cos(turned).astype(f32) * factor, np.sin(turned).astype(f32) * factor


def fold(lanes: Array) -> Array:
    """(..., 16) to (...): lane i with lane i + 8, then + 4, + 2, + 1."""
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def rms_norm(x: Array, weight: Array, epsilon: np.float32) -> Array:
    squares = np.pad(x * x, ((0, 0), (0, -x.shape[1] % 16))).reshape(len(x), -1, 16)
    lanes = np.zeros((len(x), 16), f32)
    for column in squares.swapaxes(0, 1):
        lanes = lanes + column
    mean = fold(lanes) / f32(x.shape[1])
    inverse = f32(1) / np.sqrt(mean + epsilon)
    return x * inverse[:, None] * weight


def matmul(weight: PackedTensor, x: Array) -> Array:
    """(T, rows) from (T, cols)."""
    if weight.format.is_quantized:
        return grid_matmul(unpack(weight), x)
    if weight.format is WeightFormat.F32:
        raise ValueError("matrices are not stored in single precision")
    values = dequantize(weight)
    partial = np.zeros((4, len(x), len(values)), f32)
    for k in range(values.shape[1]):
        partial[k % 4] += values[:, k] * x[:, k, None]
    return (partial[0] + partial[1]) + (partial[2] + partial[3])


def grid_matmul(grid: Grid, x: Array) -> Array:
    acc = np.zeros((len(x), len(grid.codes)), f32)
    for index, begin in enumerate(range(0, x.shape[1], grid.group)):
        columns = slice(begin, min(begin + grid.group, x.shape[1]))
        codes, x_scale = quantize(x[:, columns])
        x_sum = codes.sum(axis=1)
        # Whole numbers below 2^24: exact in single precision too, in any order.
        dot = (codes.astype(f32) @ grid.codes[:, columns].T.astype(f32)).astype(np.int32)
        dot -= np.int32(grid.format.zero_code) * x_sum[:, None].astype(np.int32)
        acc = acc + dot.astype(f32) * (grid.scales[:, index].astype(f32) * x_scale[:, None])
        if grid.minima is not None:
            acc = acc + grid.minima[:, index].astype(f32) * (x_scale * x_sum.astype(f32))[:, None]
    return acc


def quantize(x: Array) -> tuple[NDArray[np.int32], Array]:
    """int8 codes and scale of each row of one group of columns."""
    amax = np.abs(x).max(axis=1)
    amax = np.where(amax < ZERO_BELOW, f32(0), amax)
    safe = np.where(amax > 0, amax, f32(1))
    codes = np.rint(np.clip(x * (f32(127) / safe)[:, None], f32(-127), f32(127))).astype(np.int32)
    return np.where(amax[:, None] > 0, codes, 0), amax / f32(127)


def remainder(x: Array, group: int) -> Array:
    """What rounding leaves of activations: (T, cols), in groups of columns."""
    rest = np.empty_like(x)
    for begin in range(0, x.shape[1], group):
        columns = slice(begin, begin + group)
        codes, scale = quantize(x[:, columns])
        rest[:, columns] = x[:, columns] - codes.astype(f32) * scale[:, None]
    return rest


def silu_multiply(gate_up: Array) -> Array:
    """(T, F padded to 32) from interleaved blocks of 32 gates and 32 ups."""
    gate, up = gate_up.reshape(len(gate_up), -1, 2, 32).swapaxes(0, 2).swapaxes(1, 2)
    activated = gate / (f32(1) + exp_clamped(f32(0) - gate)) * up
    return activated.reshape(len(gate_up), -1)


def rotate(x: Array, cos: Array, sin: Array) -> Array:
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def attend(config: DecoderConfig, qkv: Array, cos: Array, sin: Array) -> Array:
    """(T, H * E) from (T, (H + 2K) * E): one query position and head at a time, page by page."""
    heads, groups, width = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    split = qkv.reshape(len(qkv), heads + 2 * groups, width)
    cos, sin = cos[:, None], sin[:, None]
    scale = f32(np.log2(np.e) / np.sqrt(width))
    query = half(rotate(split[:, :heads], cos, sin) * scale)
    key = half(rotate(split[:, heads : heads + groups], cos, sin))
    value = half(split[:, heads + groups :])
    out = np.empty((len(qkv), heads, width), f32)
    for position in range(len(qkv)):
        oldest = max(0, position + 1 - (config.sliding_window or len(qkv)))
        for group in range(groups):
            shared = slice(group * (heads // groups), (group + 1) * (heads // groups))
            out[position, shared] = attend_one(
                query[position, shared], key[:, group], value[:, group], oldest, position
            )
    return out.reshape(len(qkv), heads * width)


@dataclass
class State:
    """A partial result for some heads: weighted sums, largest score, sum of weights."""

    sums: Array
    largest: Array
    weight: Array

    @classmethod
    def empty(cls, heads: int, width: int) -> "State":
        return cls(np.zeros((heads, width), f32), np.zeros(heads, f32), np.zeros(heads, f32))


def attend_one(query: Array, key: Array, value: Array, oldest: int, newest: int) -> Array:
    """(heads, E): queries at position `newest` over keys `oldest` to `newest` of one kv head."""
    total: State | None = None
    for segment in range(0, newest + 1, SEGMENT):
        part = State.empty(*query.shape)
        for page in range(segment, min(segment + SEGMENT, newest + 1), PAGE):
            begin, end = max(oldest, page), min(newest + 1, page + PAGE)
            if begin < end:
                add_page(part, query, key[begin:end], value[begin:end], begin - page)
        if (part.weight != 0).all():
            total = part if total is None else merge(total, part)
    assert total is not None
    return total.sums * (f32(1) / total.weight)[:, None]


def add_page(state: State, query: Array, key: Array, value: Array, first_slot: int) -> None:
    """Add the visible keys of one page; `first_slot` is where they begin in it."""
    score = np.zeros((len(query), len(key)), f32)
    for e in range(query.shape[1]):
        score = score + query[:, e, None] * key[:, e]
    most = score.max(axis=1)
    if (state.weight == 0).all():
        largest = most
    else:
        largest = np.maximum(most, state.largest)
        shrink = exp2(np.maximum(SMALLEST_EXPONENT, state.largest - largest))
        state.sums = state.sums * shrink[:, None]
        state.weight = state.weight * shrink
    state.largest = largest
    weights = round_11_bits(exp2(np.maximum(SMALLEST_EXPONENT, score - largest[:, None])))
    lanes = np.zeros((len(query), PAGE), f32)
    lanes[:, first_slot : first_slot + len(key)] = weights
    vectors = lanes.reshape(len(query), 4, 16)
    state.weight = state.weight + fold(((vectors[:, 0] + vectors[:, 1]) + vectors[:, 2]) + vectors[:, 3])
    for slot in range(len(key)):
        state.sums = state.sums + weights[:, slot, None] * value[slot]


def merge(total: State, part: State) -> State:
    largest = np.maximum(part.largest, total.largest)
    old = exp2(np.maximum(SMALLEST_EXPONENT, total.largest - largest))
    new = exp2(np.maximum(SMALLEST_EXPONENT, part.largest - largest))
    return State(
        total.sums * old[:, None] + part.sums * new[:, None],
        largest,
        total.weight * old + part.weight * new,
    )


def half(x: Array) -> Array:
    """Rounded to half precision and widened again."""
    return x.astype(np.float16).astype(f32)


def round_11_bits(x: Array) -> Array:
    """Positive numbers with 11 significant bits; a tie is rounded up."""
    return ((x.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(f32)


_EXP2 = [
    f32(float.fromhex(c))
    for c in (
        "0x1.41fbbcp-13",
        "0x1.5f3e54p-10",
        "0x1.3b2d4cp-7",
        "0x1.c6aee8p-5",
        "0x1.ebfbdcp-3",
        "0x1.62e430p-1",
        "0x1p+0",
    )
]


def exp2(x: Array) -> Array:
    """2^x for -126 <= x <= 127 by the engine's polynomial."""
    shifter = f32(1.5 * 2**23)
    shifted = x + shifter
    r = x - (shifted - shifter)
    p = np.full_like(x, _EXP2[0])
    for coefficient in _EXP2[1:]:
        p = p * r + coefficient
    return p * ((shifted.view(np.uint32) + np.uint32(127)) << np.uint32(23)).view(f32)


def exp_clamped(x: Array) -> Array:
    log2_e = f32(float.fromhex("0x1.715476p+0"))
    return exp2(np.minimum(f32(127), np.maximum(f32(-126), x * log2_e)))
