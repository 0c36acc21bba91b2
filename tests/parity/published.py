"""Random small models of `transformers`, saved as Hugging Face folders: the published decoders as oracle."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM, PreTrainedModel

from tiny import VOCAB_SIZE, tiny_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,  # each matrix keeps the size of what it is given, so every part counts
    "bos_token_id": None,
    "eos_token_id": VOCAB_SIZE - 1,
    "pad_token_id": None,
}


def phi3(**changes: Any) -> PreTrainedModel:
    """A Phi-3 whose weights are exact in half precision."""
    return _ready(Phi3ForCausalLM(Phi3Config(**{**SHAPE, "sliding_window": None, **changes})))


def longrope_phi3(border: int, **changes: Any) -> PreTrainedModel:
    """A Phi-3 with LongRoPE. The border must be a top-level argument: inside `rope_scaling` it is overwritten."""
    pairs = SHAPE["hidden_size"] // SHAPE["num_attention_heads"] // 2
    scaling = {
        "type": "longrope",
        "short_factor": [1.0 + 0.05 * i for i in range(pairs)],
        "long_factor": [1.5 + 2.0 * i for i in range(pairs)],
    }
    lengths = {"max_position_embeddings": 4 * border, "original_max_position_embeddings": border}
    return phi3(**lengths, rope_scaling=scaling, **changes)


def llama(**changes: Any) -> PreTrainedModel:
    return _ready(LlamaForCausalLM(LlamaConfig(**{**SHAPE, **changes})))


def _ready(model: PreTrainedModel) -> PreTrainedModel:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            values = torch.randn_like(parameter) * SHAPE["initializer_range"]
            parameter.copy_((values if parameter.dim() > 1 else 1 + values).half().float())
    return model.eval()


def save(model: PreTrainedModel, folder: Path, dtype: torch.dtype = torch.float16) -> Path:
    """A folder as published: config, safetensors weights, tokenizer."""
    copy.deepcopy(model).to(dtype).save_pretrained(folder)  # of `model` itself this would round the rotary table too
    (folder / "tokenizer.json").write_bytes(tiny_tokenizer().to_json())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


def logits(model: PreTrainedModel, tokens: list[int]) -> NDArray[np.float32]:
    """(T, V) of one whole forward pass in single precision."""
    with torch.no_grad():
        out: NDArray[np.float32] = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    return out
