"""Tiny models with random weights, made in milliseconds: any shape, any weight format, a real tokenizer.

They answer nonsense, but exactly reproducible nonsense, and every path of the runtime runs on them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.architecture import DecoderConfig, RopeConfig, expected_tensors
from pocketphi.formats.pocket import ChatSettings, PocketFile, open_pocket, write_pocket
from pocketphi.packing import (
    PackedTensor,
    WeightFormat,
    interleave_gate_up,
    interleave_grid,
    narrow_bfloat16,
    pack,
    pack_half,
    pack_vector,
    round_to_nearest,
)
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.vocabulary import BYTE_CHARACTERS, SpecialToken, Vocabulary

VOCAB_SIZE = 272
"""256 bytes, a few merges, three control tokens, and rows that no token uses, as published models have."""


def tiny_config(**changes: Any) -> DecoderConfig:
    """Two layers, grouped queries, sizes that are no multiples of a block or a group."""
    rope = {"head_dim": 16, "max_position_embeddings": 512, "original_max_position_embeddings": 512}
    shape: dict[str, Any] = {
        "model_type": "phi3",
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 72,
        "intermediate_size": 104,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    for name, value in changes.items():
        (rope if name in RopeConfig.__dataclass_fields__ else shape)[name] = value
    return DecoderConfig(rope=RopeConfig(**rope), **shape)


def longrope_config(border: int = 32, stretch: int = 4, **changes: Any) -> DecoderConfig:
    """A config with LongRoPE whose two tables differ much."""
    pairs = changes.get("head_dim", 16) // 2
    return tiny_config(
        original_max_position_embeddings=border,
        max_position_embeddings=border * stretch,
        short_factor=tuple(1.0 + 0.05 * i for i in range(pairs)),
        long_factor=tuple(1.5 + 2.0 * i for i in range(pairs)),
        **changes,
    )


def tiny_weights(config: DecoderConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random plain weights under the published names; gate rows before up rows, vectors as (1, D)."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, (rows, cols) in expected_tensors(config).items():
        if rows == 1:
            weights[name] = 1 + 0.2 * random.standard_normal((rows, cols))
        else:
            weights[name] = random.standard_normal((rows, cols)) * (1.0 if "embed" in name else cols**-0.5)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def pack_weights(
    weights: dict[str, NDArray[np.float32]], kind: WeightFormat, group: int
) -> Iterator[tuple[str, PackedTensor]]:
    """The tensors of a file, matrices in one format."""
    for name, values in weights.items():
        if len(values) == 1:
            yield name, pack_vector(values)
        elif kind.is_quantized:
            grid = round_to_nearest(values, kind.bits, group, kind.has_minimum)
            yield name, pack(interleave_grid(grid) if "gate_up" in name else grid)
        else:
            bits = narrow_bfloat16(values) if kind is WeightFormat.BF16 else values.astype(np.float16).view(np.uint16)
            yield name, pack_half(kind, interleave_gate_up(*np.split(bits, 2)) if "gate_up" in name else bits)


def tiny_tokenizer() -> Tokenizer:
    """Bytes, a few merges, and ChatML's control tokens."""
    merges = (("t", "h"), ("th", "e"), ("i", "n"), ("a", "n"), ("\u0120", "t"))
    joined = tuple(left + right for left, right in merges)
    tokens = (*BYTE_CHARACTERS, *joined, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    special = tuple(SpecialToken(tokens.index(text), text) for text in tokens[-3:])
    return Tokenizer(
        Vocabulary(
            kind="byte",
            tokens=tokens,
            merges=merges,
            special=special,
            split="gpt-2",
            eos_ids=(tokens.index("<|im_end|>"),),
            pad_id=tokens.index("<|endoftext|>"),
        )
    )


def write_tiny(
    path: Path,
    config: DecoderConfig | None = None,
    *,
    kind: WeightFormat = WeightFormat.Q4,
    group: int = 32,
    seed: int = 0,
    weights: dict[str, NDArray[np.float32]] | None = None,
) -> PocketFile:
    """Write a tiny model to `path` and open it."""
    config = tiny_config() if config is None else config
    tokenizer = tiny_tokenizer()
    write_pocket(
        path,
        config=config,
        chat=ChatSettings(
            template="chatml",
            bos_token_id=None,
            stop_token_ids=(tokenizer.special_ids["<|im_end|>"], tokenizer.special_ids["<|endoftext|>"]),
            pad_token_id=tokenizer.pad_id,
        ),
        lineage={"source": "random", "seed": seed},
        tokenizer_json=tokenizer.to_json(),
        tensors=pack_weights(tiny_weights(config, seed) if weights is None else weights, kind, group),
    )
    return open_pocket(path)
