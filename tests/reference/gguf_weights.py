"""A llama-shaped GGUF file as plain weights, read and dequantised by the `gguf` package: an oracle for ours."""

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from pocketphi.architecture import DecoderConfig

Array = NDArray[np.float32]


def gguf_weights(path: Path, config: DecoderConfig) -> dict[str, Array]:
    """Published (fused) name -> (rows, cols) or (D,) weights in single precision."""
    found = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors
    }
    weights = {
        "model.embed_tokens.weight": found["token_embd.weight"],
        "model.norm.weight": found["output_norm.weight"],
    }
    if not config.tie_word_embeddings:
        weights["lm_head.weight"] = found["output.weight"]
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{layer}", f"blk.{layer}"
        query = _unpermuted(found[f"{theirs}.attn_q.weight"], config.num_attention_heads)
        key = _unpermuted(found[f"{theirs}.attn_k.weight"], config.num_key_value_heads)
        weights |= {
            f"{ours}.input_layernorm.weight": found[f"{theirs}.attn_norm.weight"],
            f"{ours}.post_attention_layernorm.weight": found[f"{theirs}.ffn_norm.weight"],
            f"{ours}.self_attn.qkv_proj.weight": np.concatenate((query, key, found[f"{theirs}.attn_v.weight"])),
            f"{ours}.self_attn.o_proj.weight": found[f"{theirs}.attn_output.weight"],
            f"{ours}.mlp.gate_up_proj.weight": np.concatenate(
                (found[f"{theirs}.ffn_gate.weight"], found[f"{theirs}.ffn_up.weight"])
            ),
            f"{ours}.mlp.down_proj.weight": found[f"{theirs}.ffn_down.weight"],
        }
    return weights


def _unpermuted(rows: Array, heads: int) -> Array:
    """llama.cpp stores the pairs of a rotation side by side; the published order has them half a head apart."""
    width = len(rows) // heads
    return rows.reshape(heads, width // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)
