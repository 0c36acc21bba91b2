"""A decoder on disk: a Hugging Face folder, which `transformers` loads as it is, or a packed `.pocket` file.

Files are written to the side and renamed, `config.json` last: a folder without one is no model to any reader, so a
save that was cut is never mistaken for a checkpoint. Llama-shaped models are fused in memory and split on disk, as
the published class wants them.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError, reason_of, shown
from pocketphi.formats.files import read_file, replace_file
from pocketphi.formats.folder_source import open_folder_source
from pocketphi.formats.limits import MAX_JSON_BYTES, MAX_TOKENIZER_BYTES
from pocketphi.formats.pocket import open_pocket
from pocketphi.formats.strict_json import dump_json, parse_json
from pocketphi.model.decoder import Decoder
from pocketphi.model.initialise import INITIALIZER_RANGE
from pocketphi.packing import ROW_BLOCK, dequantize
from pocketphi.tokenizer import Tokenizer

MAX_SHARD_BYTES = 5_000_000_000
"""Larger models are cut in several weight files, as the hub likes them."""

_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "tokenizer.model")
"""Copied beside `tokenizer.json` where they exist."""


def save_checkpoint(
    model: Decoder,
    path: Path,
    *,
    tokenizer_dir: Path,
    stop_token_ids: Sequence[int] = (),
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a model folder: config.json, generation_config.json, safetensors weights and the tokenizer's files.

    Args:
        path: a folder, made if it is missing, that holds no model yet.
        tokenizer_dir: a folder with `tokenizer.json`; another checkpoint will do.
        stop_token_ids: tokens that end an answer, beside the tokenizer's own end of text.
        dtype: what the weights are stored in; None stores them as they are.

    Raises:
        UserError: `path` holds a model or cannot be written, or the tokenizer does not fit the model.
    """
    config = model.config
    texts = {name: tokenizer_dir / name for name in _TOKENIZER_FILES if (tokenizer_dir / name).exists()}
    tokenizer_json = read_file(tokenizer_dir / "tokenizer.json", MAX_TOKENIZER_BYTES)
    generation = _generation_config(tokenizer_json, texts.get("tokenizer_config.json"), stop_token_ids, config)
    if (path / "config.json").exists():
        raise UserError(f"`{path}` holds a model already", hint="choose another folder, or move it away")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write `{path}`: {reason_of(error)}") from error
    for left in path.glob("model*.safetensors*"):  # of a save that was cut, perhaps into other shards
        left.unlink()
    _save_weights(model, path, dtype, max_shard_bytes)
    _write(path / "tokenizer.json", tokenizer_json)
    for name, source in texts.items():
        _write(path / name, read_file(source, MAX_TOKENIZER_BYTES))
    stored = dtype or model.head.dtype
    published = {
        **config.to_published(),
        "bos_token_id": generation["bos_token_id"],
        "eos_token_id": generation["eos_token_id"][0] if generation["eos_token_id"] else None,
        "pad_token_id": generation["pad_token_id"],
        "initializer_range": INITIALIZER_RANGE,
        "torch_dtype": str(stored).removeprefix("torch."),
        "use_cache": True,
    }
    _write(path / "generation_config.json", dump_json(generation).encode())
    _write(path / "config.json", dump_json(published).encode())


def load_checkpoint(
    path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, recompute: bool = False
) -> Decoder:
    """Read a model folder of ours, or a published one of a family that pocketphi runs.

    Args:
        dtype: what the weights become; single precision is what training wants.

    Raises:
        UserError: a file is missing or damaged, or the model is not one that pocketphi runs.
    """
    source = open_folder_source(path)

    def read(name: str) -> npt.NDArray[np.float32]:
        return np.concatenate([part.floats(slice(None)) for part in source.parts[name]])

    return _filled(source.config, read, device, dtype, recompute)


def load_pocket(
    path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, recompute: bool = False
) -> Decoder:
    """Read a packed model: what its codes stand for, as weights that can be trained.

    A GGUF file becomes a `.pocket` file first (`pocketphi import`).

    Raises:
        UserError: the file is not a readable `.pocket` file.
    """
    file = open_pocket(path)

    def read(name: str) -> npt.NDArray[np.float32]:
        rows = dequantize(file.tensors[name])
        if not name.endswith(".gate_up_proj.weight"):
            return rows
        # Blocks of 32 gate rows and 32 up rows alternate; the last of each may be padded.
        halves = rows.reshape(-1, 2, ROW_BLOCK, rows.shape[1]).swapaxes(0, 1).reshape(2, -1, rows.shape[1])
        return halves[:, : file.config.intermediate_size].reshape(-1, rows.shape[1])

    return _filled(file.config, read, device, dtype, recompute)


def _filled(
    config: DecoderConfig,
    read: Callable[[str], npt.NDArray[np.float32]],
    device: torch.device | str,
    dtype: torch.dtype,
    recompute: bool,
) -> Decoder:
    with torch.device("meta"):
        model = Decoder(config, recompute=recompute)
    model = model.to_empty(device=device).to(dtype)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(read(name)).view_as(weight))
    return model


def _published_weights(model: Decoder) -> Iterator[tuple[str, Tensor]]:
    """Every weight under the name that the published class gives it."""
    config = model.config
    key_rows = config.num_key_value_heads * config.head_dim
    query_rows = config.num_attention_heads * config.head_dim
    for name, weight in model.state_dict().items():
        if config.model_type == "llama" and name.endswith("qkv_proj.weight"):
            for part, rows in zip("qkv", weight.split([query_rows, key_rows, key_rows]), strict=True):
                yield name.replace("qkv_proj", f"{part}_proj"), rows
        elif config.model_type == "llama" and name.endswith("gate_up_proj.weight"):
            for part, rows in zip(("gate", "up"), weight.chunk(2), strict=True):
                yield name.replace("gate_up_proj", f"{part}_proj"), rows
        else:
            yield name, weight


def _save_weights(model: Decoder, path: Path, dtype: torch.dtype | None, max_shard_bytes: int) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    total = room = 0
    for name, weight in _published_weights(model):
        size = weight.numel() * (dtype or weight.dtype).itemsize
        if shards[-1] and room + size > max_shard_bytes:
            shards.append({})
            room = 0
        shards[-1][name] = weight
        room += size
        total += size
    whole = len(shards) == 1
    names = [
        "model.safetensors" if whole else f"model-{number:05}-of-{len(shards):05}.safetensors"
        for number in range(1, len(shards) + 1)
    ]
    for name, shard in zip(names, shards, strict=True):
        tensors = {key: weight.to("cpu", dtype).contiguous() for key, weight in shard.items()}
        with replace_file(path / name) as file:
            try:
                save_file(tensors, file.name, metadata={"format": "pt"})
            except SafetensorError as error:
                raise UserError(f"cannot write `{path / name}`: {shown(error)}", hint="free some space") from error
    if not whole:
        weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        _write(path / "model.safetensors.index.json", dump_json(index).encode())


def _generation_config(
    tokenizer_json: bytes, tokenizer_config: Path | None, stop_token_ids: Sequence[int], config: DecoderConfig
) -> dict[str, Any]:
    fields = None
    if tokenizer_config is not None:
        fields = parse_json(read_file(tokenizer_config, MAX_JSON_BYTES), f"`{tokenizer_config}`")
    tokenizer = Tokenizer.from_json(tokenizer_json, config=fields)
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model's vocabulary holds {config.vocab_size}",
            hint="save the model with the tokenizer that its training text was written in",
        )
    ends = list(dict.fromkeys([*tokenizer.eos_ids, *stop_token_ids]))
    for token in stop_token_ids:
        if not 0 <= token < config.vocab_size:
            raise UserError(f"token id {token} is not in the model's vocabulary of {config.vocab_size}")
    return {"bos_token_id": tokenizer.bos_id, "eos_token_id": ends, "pad_token_id": tokenizer.pad_id}


def _write(path: Path, data: bytes) -> None:
    with replace_file(path) as file:
        file.write(data)
