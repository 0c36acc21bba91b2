"""GGUF files as sources: architectures `llama` and `phi3`.

llama.cpp stores the query and key rows of Llama models in another order: the two features of a rotary
pair lie next to each other instead of half a head apart. `GgufMatrix.order` undoes that by moving whole
rows, so no weight changes. Phi-3 rows are stored as published.

The config is in the metadata under llama.cpp's own keys. A key of the architecture that is not known
here could change what the model computes, and is an error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi.architecture import DecoderConfig, RopeConfig
from pocketphi.errors import UserError, shown
from pocketphi.formats.ggml import GgmlType
from pocketphi.formats.gguf import GgufFile, GgufTensor, open_gguf
from pocketphi.formats.source import Source, naming, stack
from pocketphi.packing import Grid, WeightFormat
from pocketphi.tokenizer import Tokenizer

_GRIDS = {
    GgmlType.Q4_0: (WeightFormat.Q4, 32),
    GgmlType.Q4_1: (WeightFormat.Q4M, 32),
    GgmlType.Q5_0: (WeightFormat.Q8, 32),
    GgmlType.Q5_1: (WeightFormat.Q8M, 32),
    GgmlType.Q8_0: (WeightFormat.Q8, 32),
    GgmlType.Q4_K: (WeightFormat.Q4M, 32),
    GgmlType.Q5_K: (WeightFormat.Q8M, 32),
    GgmlType.Q6_K: (WeightFormat.Q8, 16),
}
_NAMES = {
    "model.embed_tokens.weight": [["token_embd.weight"]],
    "model.norm.weight": [["output_norm.weight"]],
    "lm_head.weight": [["output.weight"]],
    "input_layernorm": [["attn_norm"]],
    "self_attn.qkv_proj": [["attn_q", "attn_k", "attn_v"], ["attn_qkv"]],
    "self_attn.o_proj": [["attn_output"]],
    "post_attention_layernorm": [["ffn_norm"]],
    "mlp.gate_up_proj": [["ffn_gate", "ffn_up"], ["ffn_up"]],
    "mlp.down_proj": [["ffn_down"]],
}
_ROPE_FACTORS = ("rope_factors_short.weight", "rope_factors_long.weight")
_LLAMA3_FACTORS = "rope_freqs.weight"

# Keys of an architecture, without its name, that are read below or say nothing about inference.
_KNOWN_KEYS = frozenset(
    """
    attention.head_count attention.head_count_kv attention.key_length attention.layer_norm_rms_epsilon
    attention.sliding_window attention.value_length block_count context_length embedding_length expert_count
    expert_used_count feed_forward_length rope.dimension_count rope.freq_base rope.scale_linear
    rope.scaling.attn_factor rope.scaling.factor rope.scaling.finetuned rope.scaling.original_context_length
    rope.scaling.type tensor_data_layout vocab_size
    """.split()  # noqa: SIM905
)
_PHI3_WINDOW = 2047
"""Keys a query of the 4k models sees. Files made before llama.cpp stored it are recognised by their shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GgufMatrix:
    """A matrix of a GGUF file."""

    tensor: GgufTensor
    order: npt.NDArray[np.intp] | None = None
    """Row i of the matrix is row `order[i]` of the file; None if they agree."""

    @property
    def name(self) -> str:
        return self.tensor.name

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.tensor.data), self.tensor.shape[-1]

    @property
    def form(self) -> tuple[WeightFormat, int]:
        kind = self.tensor.kind
        return _GRIDS[kind] if kind.is_quantized else (WeightFormat(kind.name.lower()), 0)

    def grid(self) -> Grid:
        grid = self.tensor.grid()
        return grid if self.order is None else grid.rows(self.order)

    def floats(self, rows: slice) -> npt.NDArray[np.float32]:
        return self.tensor.dequantize(rows if self.order is None else self.order[rows])


def open_gguf_source(path: Path) -> Source:
    """Open a GGUF file as a source.

    Raises:
        UserError: the file is damaged, or the model is not one that pocketphi runs.
    """
    file, where = open_gguf(path), f"`{path}`"
    config = naming(where, lambda: read_config(file))
    template = file.metadata.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise UserError(f"{where}: `tokenizer.chat_template` is not text")
    matrices: dict[str, GgufMatrix] = {}
    for name, tensor in file.tensors.items():
        if name in (*_ROPE_FACTORS, _LLAMA3_FACTORS):
            continue
        if len(tensor.shape) > 2:
            raise UserError(f"{where}: tensor `{name}` has shape {tensor.shape}, expected a matrix or a vector")
        matrices[name] = GgufMatrix(tensor=tensor, order=_published_order(name, tensor, config))
    return Source(
        files=(path,),
        config=config,
        tokenizer=naming(where, lambda: Tokenizer.from_gguf(file.metadata)),
        template_text=template,
        stop_token_ids=(),
        parts=stack(matrices, config, _candidates, where),
    )


def read_config(file: GgufFile) -> DecoderConfig:
    """The decoder's config from a file's metadata (and, for LongRoPE, from its tensors of factors)."""
    architecture = file.metadata.get("general.architecture")
    if architecture not in ("llama", "phi3"):
        raise UserError(
            f"`general.architecture` is `{shown(architecture)}`, which is not supported",
            hint="pocketphi imports `llama` and `phi3` files",
        )
    if file.metadata.get("split.count", 1) not in (0, 1):
        raise UserError(
            f"`split.count` is {shown(file.metadata['split.count'])}: the model is cut into several files",
            hint="join them with `llama-gguf-split --merge`, then import the one file",
        )
    prefix = f"{architecture}."
    fields = {key.removeprefix(prefix): file.metadata[key] for key in file.metadata if key.startswith(prefix)}
    unknown = sorted(fields.keys() - _KNOWN_KEYS)
    if unknown:
        raise UserError(
            f"unknown metadata key `{prefix}{unknown[0]}` (value `{shown(fields[unknown[0]])}`), "
            "it may change what the model computes"
        )

    def get(key: str, kind: type, default: Any = None) -> Any:
        value = fields.get(key, default)
        if value is None:
            raise UserError(f"`{prefix}{key}` is missing")
        if type(value) is not kind:
            raise UserError(f"`{prefix}{key}` is `{shown(value)}`, not {'text' if kind is str else 'a number'}")
        return value

    if get("expert_count", int, 0):
        raise UserError(f"`{prefix}expert_count` is {fields['expert_count']}: mixtures of experts are not supported")
    hidden, heads = get("embedding_length", int), get("attention.head_count", int)
    if not 1 <= heads <= hidden:
        raise UserError(f"`{prefix}attention.head_count` is {heads}, allowed are 1 to `embedding_length` {hidden}")
    if "attention.key_length" not in fields and hidden % heads:
        raise UserError(f"`{prefix}attention.head_count` {heads} does not divide `embedding_length` {hidden}")
    head_dim = get("attention.key_length", int, hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if get(key, int, head_dim) != head_dim:
            raise UserError(f"`{prefix}{key}` is {fields[key]}, only {head_dim}, the width of a head, is supported")
    context, layers = get("context_length", int), get("block_count", int)
    window = get("attention.sliding_window", int, 0) or None
    if architecture == "phi3" and "attention.sliding_window" not in fields and (context, layers) in _PUBLISHED_4K:
        window = _PHI3_WINDOW
    if architecture == "llama" and window is not None:
        raise UserError(f"`{prefix}attention.sliding_window` is {window}: the published Llama decoder has none")
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise UserError("tensor `token_embd.weight` is missing")
    return DecoderConfig(
        model_type=architecture,
        vocab_size=len(embedding.data),
        hidden_size=hidden,
        intermediate_size=get("feed_forward_length", int),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=get("attention.head_count_kv", int, heads),
        rms_norm_eps=_tidy(get("attention.layer_norm_rms_epsilon", float)),
        tie_word_embeddings="output.weight" not in file.tensors,
        sliding_window=window,
        rope=_read_rope(file, prefix, fields, head_dim, context, get),
    )


_PUBLISHED_4K = ((4096, 32), (4096, 40))
"""(context, layers) of Phi-3-mini-4k and Phi-3-medium-4k."""


def _read_rope(
    file: GgufFile, prefix: str, fields: dict[str, Any], head_dim: int, context: int, get: Any
) -> RopeConfig:
    scaling = get("rope.scaling.type", str, "none")
    short, long = (file.tensors.get(name) for name in _ROPE_FACTORS)
    if scaling not in ("none", "longrope" if long is not None else "none"):
        raise UserError(
            f"`{prefix}rope.scaling.type` is `{shown(scaling)}`, which is not supported",
            hint="pocketphi runs plain RoPE and LongRoPE",
        )
    for key in ("rope.scale_linear", "rope.scaling.factor"):
        if fields.get(key) not in (None, 0.0, 1.0):
            raise UserError(f"`{prefix}{key}` is `{shown(fields[key])}`, only 1 is supported")
    if _LLAMA3_FACTORS in file.tensors and not (file.tensors[_LLAMA3_FACTORS].dequantize() == 1).all():
        raise UserError(f"tensor `{_LLAMA3_FACTORS}` rescales positions: rope type `llama3` is not supported")
    if (short is None) != (long is None):
        raise UserError(f"tensor `{_ROPE_FACTORS[short is not None]}` is missing: LongRoPE needs both factor lists")
    rope: dict[str, Any] = {
        "head_dim": head_dim,
        "rope_theta": get("rope.freq_base", float, 10_000.0),
        "max_position_embeddings": context,
        "original_max_position_embeddings": get("rope.scaling.original_context_length", int, context),
    }
    if short is not None and long is not None:
        for name, tensor in zip(("short_factor", "long_factor"), (short, long), strict=True):
            if tensor.kind is not GgmlType.F32 or tensor.data.size != 2 * head_dim:
                raise UserError(
                    f"tensor `{tensor.name}` is {tensor.kind.name} {tensor.shape}, expected {head_dim // 2} F32"
                )
            rope[name] = tuple(_tidy(value) for value in tensor.dequantize().reshape(-1).tolist())
    plain = RopeConfig(**rope)
    stated = get("rope.scaling.attn_factor", float, plain.attention_factor)
    if math.isclose(stated, plain.attention_factor, rel_tol=1e-6):
        return plain
    if not plain.is_long:
        raise UserError(f"`{prefix}rope.scaling.attn_factor` is {stated}, only 1 is supported without LongRoPE")
    return RopeConfig(**rope, stated_attention_factor=stated)


def _published_order(name: str, tensor: GgufTensor, config: DecoderConfig) -> npt.NDArray[np.intp] | None:
    """Where llama.cpp put each row of a Llama query or key matrix: (head, half, pair) lies at (head, pair, half)."""
    if config.model_type != "llama" or not name.endswith((".attn_q.weight", ".attn_k.weight")):
        return None
    rows = len(tensor.data)
    if rows % config.head_dim:
        return None  # a wrong shape, which `stack` reports
    order = np.arange(rows, dtype=np.intp).reshape(-1, config.head_dim // 2, 2)
    return order.transpose(0, 2, 1).reshape(-1)


def _candidates(name: str) -> Sequence[Sequence[str]]:
    if name in _NAMES:
        return _NAMES[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return [[f"blk.{layer}.{piece}.weight" for piece in choice] for choice in _NAMES[part]]


def _tidy(value: float) -> float:
    """The shortest decimal that is this float32: the number as its author wrote it."""
    return float(str(np.float32(value)))
