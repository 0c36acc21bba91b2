"""Write small GGUF, safetensors and .pocket files by hand, honest ones and (given other numbers) lying ones.

Independent of the readers and of the oracle packages, so that both can be tested against the bytes.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.formats.ggml import GgmlType
from pocketphi.tokenizer import Tokenizer
from published_templates import CHATML
from tiny import tiny_tokenizer

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_CODES = dict(zip(range(13), ["B", "b", "H", "h", "I", "i", "f", "B", "", "", "Q", "q", "d"], strict=True))


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind: int, value: float) -> bytes:
    return struct.pack("<" + _CODES[kind], value)


def array(kind: int, values: Sequence[Any]) -> bytes:
    items = [string(value) if kind == STRING else scalar(kind, value) for value in values]
    return struct.pack("<IQ", kind, len(values)) + b"".join(items)


@dataclass
class Entry:
    """A metadata entry: key, type and the bytes of the value."""

    key: str | bytes
    kind: int
    raw: bytes


@dataclass
class Tensor:
    """A tensor: dimensions in the file's order (columns first); `offset` None places it after the one before."""

    name: str | bytes
    kind: int
    dimensions: Sequence[int]
    data: bytes
    offset: int | None = None
    num_dimensions: int | None = None


@dataclass
class Gguf:
    """A GGUF file in parts; `None` counts are those of the lists."""

    entries: list[Entry] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    magic: bytes = b"GGUF"
    version: int = 3
    num_tensors: int | None = None
    num_entries: int | None = None
    alignment: int = 32
    tail: bytes = b""

    def head(self) -> bytes:
        """Everything before the data, unpadded."""
        counts = (
            len(self.tensors) if self.num_tensors is None else self.num_tensors,
            len(self.entries) if self.num_entries is None else self.num_entries,
        )
        out = bytearray(self.magic + struct.pack("<IQQ", self.version, *counts))
        for entry in self.entries:
            out += string(entry.key) + struct.pack("<I", entry.kind) + entry.raw
        position = 0
        for tensor in self.tensors:
            offset = position if tensor.offset is None else tensor.offset
            dimensions = [*tensor.dimensions]
            count = len(dimensions) if tensor.num_dimensions is None else tensor.num_dimensions
            out += string(tensor.name) + struct.pack("<I", count) + struct.pack(f"<{len(dimensions)}Q", *dimensions)
            out += struct.pack("<IQ", tensor.kind, offset)
            position = _up(position + len(tensor.data), self.alignment)
        return bytes(out)

    def build(self) -> bytes:
        out = bytearray(self.head())
        for tensor in self.tensors:
            out += bytes(-len(out) % self.alignment) + tensor.data
        return bytes(out + bytes(-len(out) % self.alignment) + self.tail)

    def put(self, key: str, kind: int, value: Any) -> "Gguf":
        """Set one metadata value."""
        raw = string(value) if kind == STRING else value if kind == ARRAY else scalar(kind, value)
        self.entries = [entry for entry in self.entries if entry.key != key] + [Entry(key, kind, raw)]
        return self

    def drop(self, key: str) -> "Gguf":
        self.entries = [entry for entry in self.entries if entry.key != key]
        return self


def random_blocks(kind: GgmlType, rows: int, cols: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Random bytes of a type whose scales are sane: (rows, bytes per row)."""
    weights, size = kind.block
    if kind in (GgmlType.F32, GgmlType.F16):
        values = random.normal(size=(rows, cols)) * cols**-0.5
        return values.astype("<f4" if kind is GgmlType.F32 else "<f2").view(np.uint8)
    if kind is GgmlType.BF16:
        values = (random.normal(size=(rows, cols)) * cols**-0.5).astype("<f4")
        return np.ascontiguousarray(values.view("<u2")[:, 1::2]).view(np.uint8)
    blocks = random.integers(0, 256, (rows, cols // weights, size)).astype(np.uint8)
    spread = cols**-0.5 * {GgmlType.Q8_0: 1 / 128, GgmlType.Q6_K: 1 / 2048, GgmlType.Q4_K: 1 / 256}.get(kind, 1 / 16)
    halves = {GgmlType.Q6_K: [208], GgmlType.Q4_1: [0, 2], GgmlType.Q5_1: [0, 2]}.get(kind, [0])
    for at in [0, 2] if kind in (GgmlType.Q4_K, GgmlType.Q5_K) else halves:
        values = random.uniform(0.5, 1.5, blocks.shape[:2]) * spread
        if at == 2 and kind in (GgmlType.Q4_1, GgmlType.Q5_1):
            values *= -8
        blocks[:, :, at : at + 2] = values.astype("<f2")[:, :, None].view(np.uint8)
    return blocks.reshape(rows, -1)


def tokenizer_entries(tokenizer: Tokenizer | None = None) -> list[Entry]:
    """A byte-level vocabulary as GGUF metadata."""
    vocabulary = (tokenizer or tiny_tokenizer()).vocabulary
    special = {token.id for token in vocabulary.special}
    kinds = [3 if index in special else 1 for index in range(len(vocabulary.tokens))]
    merges = [" ".join(pair) for pair in vocabulary.merges]
    return [
        Entry("tokenizer.ggml.model", STRING, string("gpt2")),
        Entry("tokenizer.ggml.pre", STRING, string("gpt-2")),
        Entry("tokenizer.ggml.tokens", ARRAY, array(STRING, vocabulary.tokens)),
        Entry("tokenizer.ggml.token_type", ARRAY, array(I32, kinds)),
        Entry("tokenizer.ggml.merges", ARRAY, array(STRING, merges)),
        Entry("tokenizer.ggml.eos_token_id", U32, scalar(U32, vocabulary.eos_ids[0])),
        Entry("tokenizer.ggml.add_bos_token", BOOL, scalar(BOOL, 0)),
        Entry("tokenizer.chat_template", STRING, string(CHATML)),
    ]


def model_gguf(
    kinds: Mapping[str, GgmlType] | None = None,
    *,
    architecture: str = "llama",
    hidden: int = 64,
    inner: int = 96,
    heads: int = 4,
    kv_heads: int = 2,
    layers: int = 2,
    rows: int = 272,
    tied: bool = True,
    fused: bool = False,
    factors: tuple[Sequence[float], Sequence[float]] | None = None,
    seed: int = 0,
) -> Gguf:
    """A whole tiny model. `kinds` maps a part of a tensor's name to its type, `""` is the default type."""
    random = np.random.default_rng(seed)
    kinds = {"": GgmlType.F16} if kinds is None else kinds
    width = hidden // heads
    shapes: dict[str, tuple[int, int]] = {"token_embd": (rows, hidden), "output_norm": (1, hidden)}
    if not tied:
        shapes["output"] = (rows, hidden)
    for layer in range(layers):
        query, key = ("attn_q", (heads * width, hidden)), ("attn_k", (kv_heads * width, hidden))
        fused_rows = (heads + 2 * kv_heads) * width
        parts = [("attn_norm", (1, hidden)), ("attn_output", (hidden, heads * width)), ("ffn_norm", (1, hidden))]
        parts += [("attn_qkv", (fused_rows, hidden))] if fused else [query, key, ("attn_v", key[1])]
        parts += (
            [("ffn_up", (2 * inner, hidden))] if fused else [("ffn_gate", (inner, hidden)), ("ffn_up", (inner, hidden))]
        )
        parts += [("ffn_down", (hidden, inner))]
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in parts}
    tensors = []
    for name, (count, cols) in shapes.items():
        if count == 1:
            data = (1 + 0.1 * random.normal(size=cols)).astype("<f4").tobytes()
            tensors.append(Tensor(f"{name}.weight", GgmlType.F32, [cols], data))
        else:
            kind = next(kind for part, kind in sorted(kinds.items(), key=lambda item: -len(item[0])) if part in name)
            data = random_blocks(kind, count, cols, random).tobytes()
            tensors.append(Tensor(f"{name}.weight", kind, [cols, count], data))
    file = Gguf(tensors=tensors)
    file.put("general.architecture", STRING, architecture)
    numbers = {
        "block_count": layers, "context_length": 512, "embedding_length": hidden, "feed_forward_length": inner,
        "attention.head_count": heads, "attention.head_count_kv": kv_heads, "rope.dimension_count": width,
    }  # fmt: skip
    for key, value in numbers.items():
        file.put(f"{architecture}.{key}", U32, value)
    file.put(f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5)
    file.put(f"{architecture}.rope.freq_base", F32, 10000.0)
    if factors is not None:
        for name, values in zip(("rope_factors_short", "rope_factors_long"), factors, strict=True):
            file.tensors.append(Tensor(f"{name}.weight", GgmlType.F32, [width // 2], np.array(values, "<f4").tobytes()))
        file.put(f"{architecture}.rope.scaling.original_context_length", U32, 128)
    file.entries += tokenizer_entries()
    return file


def safetensors_bytes(
    header: Mapping[str, Any] | str | bytes, data: bytes = b"", *, length: int | None = None, pad: int = 1
) -> bytes:
    """A safetensors file of any header, true or not."""
    text = json.dumps(header, separators=(",", ":")) if isinstance(header, Mapping) else header
    raw = text.encode() if isinstance(text, str) else text
    raw += b" " * (-(8 + len(raw)) % pad)
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def small_safetensors() -> bytes:
    """A valid file of three tensors and metadata."""
    header = {
        "__metadata__": {"format": "pt"},
        "first": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "second": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
        "third": {"dtype": "U8", "shape": [3, 1], "data_offsets": [32, 35]},
    }
    return safetensors_bytes(header, bytes(range(35)))


def split_pocket(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The parsed header of a .pocket file and its data."""
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def seal(raw: bytes) -> bytes:
    """State the right `header_sha256` in a .pocket file, so that a lie elsewhere in the header is not caught by it."""
    end = 8 + int.from_bytes(raw[:8], "little")
    found = re.search(rb'"header_sha256":"([0-9a-f]{64})"', raw[:end])
    if found is None:
        return raw
    blank = raw[: found.start(1)] + b"0" * 64 + raw[found.end(1) : end]
    return raw[: found.start(1)] + hashlib.sha256(blank).hexdigest().encode() + raw[found.end(1) :]


def rebuild_pocket(header: Mapping[str, Any], data: bytes) -> bytes:
    """A .pocket file of a changed header, sealed."""
    return seal(safetensors_bytes(header, data, pad=64))


def write_folder(path: Path, *, num_shards: int = 1, **changes: Any) -> Path:
    """A tiny Llama as a Hugging Face folder, written by transformers, with tokenizer and template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

    kind = changes.pop("model_type", "llama")
    dtype = changes.pop("dtype", torch.float32)
    fields = {
        "vocab_size": 272, "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "pad_token_id": 0,
        "bos_token_id": 0, "eos_token_id": 263,
    }  # fmt: skip
    torch.manual_seed(0)
    if kind == "phi3":
        model = Phi3ForCausalLM(Phi3Config(**{**fields, "original_max_position_embeddings": 512, **changes}))
    else:
        model = LlamaForCausalLM(LlamaConfig(**{**fields, **changes}))
    size = sum(weight.numel() for weight in model.parameters()) * (4 if dtype == torch.float32 else 2)
    model.to(dtype).save_pretrained(path, max_shard_size=-(-size // num_shards) if num_shards > 1 else size)
    tokenizer = tiny_tokenizer()
    (path / "tokenizer.json").write_bytes(tokenizer.to_json())
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML, "eos_token": "<|im_end|>"}))
    stops = [tokenizer.special_ids["<|im_end|>"], tokenizer.special_ids["<|endoftext|>"]]
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    return path


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
