"""Repositories as Microsoft publishes them, small: real configs and tokenizer, random weights, few and narrow layers.

Every published value is kept that does not set a width: head size, rope factors, windows, lengths, vocabulary,
token ids. The tokenizer is the real one where `POCKETPHI_DATA` has it, else one of the same structure.
"""

import functools
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save

from pocketphi.config import settings
from published_templates import CHATML, PHI3_JUNE, PHI35

_LONG_35 = """
1.08 1.11 1.14 1.34 1.59 1.60 1.62 2.62 3.23 3.23 4.79 7.40 7.70 9.09 12.20 17.67 24.46 28.57 30.42 30.84 32.59 32.93
42.32 44.96 50.34 50.45 57.55 57.93 58.21 60.14 62.61 62.62 62.71 63.14 63.14 63.77 63.93 63.96 63.97 64.03 64.07 64.08
64.12 64.41 64.48 64.51 64.53 64.84
"""
_SHORT_35 = """
1.00 1.02 1.03 1.03 1.05 1.05 1.05 1.05 1.05 1.07 1.10 1.11 1.16 1.16 1.17 1.29 1.34 1.68 1.79 1.82 1.85 1.88 1.91 1.94
1.99 2.02 2.02 2.02 2.02 2.02 2.02 2.03 2.03 2.03 2.03 2.03 2.03 2.03 2.03 2.03 2.08 2.09 2.19 2.22 2.59 2.73 2.75 2.84
"""
SHORT_35, LONG_35 = ([float(number) for number in text.split()] for text in (_SHORT_35, _LONG_35))

_COMMON: dict[str, Any] = {
    "architectures": ["Phi3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "auto_map": {
        "AutoConfig": "configuration_phi3.Phi3Config",
        "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
    },
    "bos_token_id": 1,
    "embd_pdrop": 0.0,
    "eos_token_id": 32000,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 4096,
    "model_type": "phi3",
    "original_max_position_embeddings": 4096,
    "pad_token_id": 32000,
    "resid_pdrop": 0.0,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "sliding_window": 2047,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.2",
    "use_cache": True,
    "vocab_size": 32064,
}
# 3072 / 32 = 96 wide heads in mini; 5120 / 40 = 128 in medium, where query heads share a key head.
_MINI = {"hidden_size": 192, "intermediate_size": 512, "num_attention_heads": 2, "num_key_value_heads": 2}
_MEDIUM = {"hidden_size": 256, "intermediate_size": 896, "num_attention_heads": 2, "num_key_value_heads": 1}
_LONG = {"max_position_embeddings": 131072, "sliding_window": 262144}

CONFIGS: dict[str, dict[str, Any]] = {
    "phi-3-mini-4k": _COMMON | _MINI,
    "phi-3-mini-128k": _COMMON
    | _MINI
    | _LONG
    | {
        # The values of this checkpoint were not found; these have the right number and order.
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0 + 0.04 * pair for pair in range(48)],
            "long_factor": [1.0 + 1.3 * pair for pair in range(48)],
        }
    },
    "phi-3.5-mini": _COMMON
    | _MINI
    | _LONG
    | {"rope_scaling": {"type": "longrope", "short_factor": SHORT_35, "long_factor": LONG_35}},
    "phi-3-medium-4k": _COMMON | _MEDIUM,
}
NUM_LAYERS = 2


@functools.cache
def repository(name: str, *, num_shards: int = 2) -> dict[str, bytes]:
    """The files of the catalogue entry `name`, as the hub has them, code included."""
    config = CONFIGS[name] | {"num_hidden_layers": NUM_LAYERS}
    template = PHI35 if name == "phi-3.5-mini" else PHI3_JUNE
    tokenizer_config = {
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": "<s>",
        "chat_template": template,
        "eos_token": "<|endoftext|>",
        "model_max_length": config["max_position_embeddings"],
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    generation_config = {"bos_token_id": 1, "eos_token_id": [32000, 32001, 32007], "pad_token_id": 32000}
    tensors = random_weights(config)
    shards = [list(tensors)[part::num_shards] for part in range(num_shards)]
    files = [f"model-{part + 1:05}-of-{num_shards:05}.safetensors" for part in range(num_shards)]
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {tensor: file for file, shard in zip(files, shards, strict=True) for tensor in shard},
    }
    return {
        "README.md": b"---\nlicense: mit\n---\n",
        "added_tokens.json": b"{}",
        "config.json": json.dumps(config, indent=2).encode(),
        "configuration_phi3.py": b"raise SystemExit('code of a repository was run')\n",
        "generation_config.json": json.dumps(generation_config).encode(),
        **{
            file: save({tensor: tensors[tensor] for tensor in shard}, metadata={"format": "pt"})
            for file, shard in zip(files, shards, strict=True)
        },
        "model.safetensors.index.json": json.dumps(index).encode(),
        "modeling_phi3.py": b"raise SystemExit('code of a repository was run')\n",
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": json.dumps(tokenizer_config).encode(),
    }


def random_weights(config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Weights under the published names, in half precision."""
    generator = np.random.default_rng(0)

    def random(rows: int, cols: int) -> np.ndarray:
        return (generator.standard_normal((rows, cols), np.float32) * 0.02).astype(np.float16)

    width, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head_dim = width // config["num_attention_heads"]
    rows = (config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * head_dim
    tensors = {"model.embed_tokens.weight": random(vocabulary, width), "lm_head.weight": random(vocabulary, width)}
    tensors["model.norm.weight"] = np.ones(width, np.float16)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        tensors |= {
            f"{prefix}input_layernorm.weight": np.ones(width, np.float16),
            f"{prefix}post_attention_layernorm.weight": np.ones(width, np.float16),
            f"{prefix}self_attn.qkv_proj.weight": random(rows, width),
            f"{prefix}self_attn.o_proj.weight": random(width, width),
            f"{prefix}mlp.gate_up_proj.weight": random(2 * inner, width),
            f"{prefix}mlp.down_proj.weight": random(width, inner),
        }
    return tensors


@functools.cache
def tokenizer_json() -> bytes:
    """The real Phi-3 tokenizer, or one of the same structure and ids."""
    data = settings().data_dir
    if data is not None and (data / "tokenizers" / "phi-3-mini.tokenizer.json.gz").is_file():
        return gzip.decompress((data / "tokenizers" / "phi-3-mini.tokenizer.json.gz").read_bytes())
    return json.dumps(_tokenizer_of_the_same_structure(32000)).encode()


def _tokenizer_of_the_same_structure(num_pieces: int) -> dict[str, Any]:
    """SentencePiece-like BPE with byte fallback and Phi-3's control tokens behind the pieces.

    Letters and a few merges mean something, the rest of the pieces fill up.
    """
    letters = ["\u2581", *(chr(code) for code in range(33, 127))]
    merged = ["th", "he", "in", "\u2581a", "\u2581t", "er"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *merged, *letters]
    pieces += [f"\u0100{number}" for number in range(num_pieces - len(pieces))]
    specials = [(0, "<unk>", False, True), (1, "<s>", False, True), (2, "</s>", True, False)]
    holes = [f"placeholder{number}" for number in range(1, 7)]
    names = ["endoftext", "assistant", *holes[:4], "system", "end", *holes[4:], "user"]
    specials += [(num_pieces + index, f"<|{name}|>", index > 0, True) for index, name in enumerate(names)]
    flags = {"single_word": False, "lstrip": False, "normalized": False}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": token, "content": text, "rstrip": rstrip, "special": special} | flags
            for token, text, rstrip, special in specials
        ],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, spaces]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {piece: index for index, piece in enumerate(pieces)},
            "merges": [" ".join(pair) for pair in merged],
        },
    }


@functools.cache
def tiny_repository() -> dict[str, bytes]:
    """A whole model folder that imports in no time: one narrow layer, 400 pieces, one file of weights."""
    ends = {"bos_token_id": 1, "eos_token_id": [400, 401, 407], "pad_token_id": 400}
    shape = {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 64, "vocab_size": 448}
    config = CONFIGS["phi-3-mini-4k"] | shape | ends | {"eos_token_id": 400}
    return {
        **{name: content for name, content in repository("phi-3-mini-4k").items() if "safetensors" not in name},
        "config.json": json.dumps(config).encode(),
        "generation_config.json": json.dumps(ends).encode(),
        "model.safetensors": save(random_weights(config)),
        "tokenizer.json": json.dumps(_tokenizer_of_the_same_structure(400)).encode(),
    }


@functools.cache
def tiny_gguf() -> bytes:
    """A Llama-shaped GGUF file with a byte-level vocabulary, in 16 bits, written by the `gguf` package."""
    tokens = [_byte_letter(byte) for byte in range(256)] + ["th", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    with tempfile.TemporaryDirectory() as folder:
        writer = gguf.GGUFWriter(Path(folder, "tiny.gguf"), "llama")
        writer.add_context_length(256)
        writer.add_embedding_length(64)
        writer.add_block_count(1)
        writer.add_feed_forward_length(64)
        writer.add_head_count(2)
        writer.add_head_count_kv(1)
        writer.add_rope_dimension_count(32)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(tokens)
        writer.add_token_types([1] * 257 + [3] * 3)
        writer.add_token_merges(["t h"])
        writer.add_eos_token_id(259)
        writer.add_chat_template(CHATML)
        generator = np.random.default_rng(0)
        shapes = {"token_embd": (len(tokens), 64), "output": (len(tokens), 64), "blk.0.attn_q": (64, 64)}
        shapes |= {"blk.0.attn_k": (32, 64), "blk.0.attn_v": (32, 64), "blk.0.attn_output": (64, 64)}
        shapes |= {"blk.0.ffn_gate": (64, 64), "blk.0.ffn_up": (64, 64), "blk.0.ffn_down": (64, 64)}
        for name, shape in shapes.items():
            writer.add_tensor(f"{name}.weight", generator.standard_normal(shape, np.float32).astype(np.float16))
        for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
            writer.add_tensor(f"{name}.weight", np.ones(64, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return Path(folder, "tiny.gguf").read_bytes()


def _byte_letter(byte: int) -> str:
    """How byte-level vocabularies write a byte: printable ones as they are, the rest as letters from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [number for number in range(256) if number not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))
