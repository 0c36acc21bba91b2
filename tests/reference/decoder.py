"""The decoder in plain NumPy: one sequence, no cache, every position at once.

This is the oracle for the engine's mathematics: RMSNorm, fused qkv, grouped query attention, RoPE and
LongRoPE, sliding window, SwiGLU, tied or untied head. `weights` are ordinary matrices (dequantised,
gate rows before up rows). Float64 by default, so that it is the truth that both float32 and integer
arithmetic are measured against.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.architecture import DecoderConfig, inverse_frequencies
from pocketphi.formats.pocket import PocketFile
from pocketphi.packing import ROW_BLOCK, dequantize

Array = NDArray[Any]


def plain_weights(file: PocketFile) -> dict[str, Array]:
    """A file's weights as the mathematics sees them: dequantised, gate rows before up rows."""
    weights: dict[str, Array] = {name: dequantize(tensor) for name, tensor in file.tensors.items()}
    for name, rows in weights.items():
        if name.endswith("gate_up_proj.weight"):
            halves = rows.reshape(-1, 2, ROW_BLOCK, rows.shape[1]).swapaxes(0, 1)
            kept = [half.reshape(-1, rows.shape[1])[: file.config.intermediate_size] for half in halves]
            weights[name] = np.concatenate(kept)
    return weights


@dataclass(frozen=True)
class Reference:
    """A decoder over plain weights.

    Args:
        config: the shape.
        weights: published name -> (rows, cols) matrix or (D,) vector, as `expected_tensors` lists them.
        dtype: what is computed in.
    """

    config: DecoderConfig
    weights: Mapping[str, Array]
    dtype: Any = np.float64

    def hidden(self, tokens: Sequence[int]) -> Array:
        """(T, D) hidden states after the final norm."""
        config = self.config
        cos, sin = rotations(config, len(tokens), self.dtype)
        visible = visible_keys(len(tokens), config.sliding_window)
        x = self._weight("model.embed_tokens.weight")[np.asarray(tokens)]
        for layer in range(config.num_hidden_layers):
            prefix = f"model.layers.{layer}"
            normed = self._norm(x, f"{prefix}.input_layernorm.weight")
            qkv = normed @ self._weight(f"{prefix}.self_attn.qkv_proj.weight").T
            attended = attend(config, qkv, cos, sin, visible)
            x = x + attended @ self._weight(f"{prefix}.self_attn.o_proj.weight").T
            normed = self._norm(x, f"{prefix}.post_attention_layernorm.weight")
            gate, up = np.split(normed @ self._weight(f"{prefix}.mlp.gate_up_proj.weight").T, 2, axis=1)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ self._weight(f"{prefix}.mlp.down_proj.weight").T
        return self._norm(x, "model.norm.weight")

    def logits(self, tokens: Sequence[int]) -> Array:
        """(T, V) logits of every position."""
        head = "model.embed_tokens.weight" if self.config.tie_word_embeddings else "lm_head.weight"
        return self.hidden(tokens) @ self._weight(head).T

    def _weight(self, name: str) -> Array:
        return np.asarray(self.weights[name], self.dtype)

    def _norm(self, x: Array, name: str) -> Array:
        mean_square = np.mean(x * x, axis=1, keepdims=True)
        return x / np.sqrt(mean_square + self.dtype(self.config.rms_norm_eps)) * self._weight(name).reshape(-1)


def rotations(config: DecoderConfig, length: int, dtype: Any) -> tuple[Array, Array]:
    """(T, E/2) cosine and sine for a sequence of `length`; LongRoPE picks its table by that length."""
    short, long = inverse_frequencies(config.rope)
    table = long if long is not None and length > config.original_max_position_embeddings else short
    angles = np.outer(np.arange(length), np.asarray(table)).astype(dtype)
    factor = dtype(config.rope.attention_factor)
    return np.cos(angles) * factor, np.sin(angles) * factor


def visible_keys(length: int, window: int | None) -> NDArray[np.bool_]:
    """(T, T): may query row see key column? Causal, and at most `window` keys, itself included."""
    query, key = np.arange(length)[:, None], np.arange(length)[None, :]
    causal: NDArray[np.bool_] = key <= query
    return causal if window is None else causal & (key > query - window)


def attend(config: DecoderConfig, qkv: Array, cos: Array, sin: Array, visible: NDArray[np.bool_]) -> Array:
    """(T, H * E) attention output from (T, (H + 2K) * E) projections."""
    heads, groups, width = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    split = qkv.reshape(len(qkv), heads + 2 * groups, width).swapaxes(0, 1)
    query, key, value = np.split(split, [heads, heads + groups])
    query, key = rotate(query, cos, sin), rotate(key, cos, sin)
    key, value = (np.repeat(part, heads // groups, axis=0) for part in (key, value))
    scores = query @ key.swapaxes(1, 2) / qkv.dtype.type(np.sqrt(width))
    scores = np.where(visible, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    return (weights @ value).swapaxes(0, 1).reshape(len(qkv), heads * width)


def rotate(x: Array, cos: Array, sin: Array) -> Array:
    """(heads, T, E) turned by position; pair i is features (i, i + E/2)."""
    first, second = np.split(x, 2, axis=2)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=2)
