"""Read a Hugging Face model folder: config, tokenizer and safetensors weights, whole or sharded.

Nothing in the folder is run and nothing outside it is opened: shard names are plain file names, and
pickled weights are refused. Links are followed, because the Hugging Face cache is made of them.
Weights are mapped, so reading a tensor costs memory only while it is used.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi.errors import UserError, shown
from pocketphi.formats.files import cannot_open, open_regular, read_file
from pocketphi.formats.limits import MAX_JSON_BYTES, MAX_TOKENIZER_BYTES
from pocketphi.formats.safetensors import parse_header, read_header
from pocketphi.formats.strict_json import parse_json
from pocketphi.packing import widen_bfloat16

_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
_MAX_SHARDS = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderTensor:
    """A weight of a folder."""

    name: str
    dtype: str
    """`F32`, `F16` or `BF16`."""
    shape: tuple[int, ...]
    data: npt.NDArray[Any]
    """(rows, columns), a view of the map; a vector is one row. BF16 as uint16 bit patterns."""

    def to_float(self, rows: slice = slice(None)) -> npt.NDArray[np.float32]:
        """Some rows as float32 (rows, columns): exact."""
        part = self.data[rows]
        return widen_bfloat16(part) if self.dtype == "BF16" else part.astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class HuggingFaceFolder:
    """An open model folder."""

    path: Path
    config: dict[str, Any]
    generation_config: dict[str, Any]
    """Empty if there is none, as the next."""
    tokenizer_config: dict[str, Any]
    chat_template: str | None
    """The Jinja program of `tokenizer_config.json` or `chat_template.jinja`: data, never run."""
    tokenizer_json: bytes
    tensors: Mapping[str, FolderTensor]
    weight_files: tuple[str, ...]


def open_folder(path: Path) -> HuggingFaceFolder:
    """Open a model folder and map its weights.

    Raises:
        UserError: a file is missing, damaged, or not what it says; the message names file and field.
    """
    if _status(path / "config.json") is None:
        raise UserError(
            f"`{path}` is not a model folder: it has no config.json",
            hint="give a GGUF file, or a folder with config.json, tokenizer.json and safetensors files",
        )
    config = _read_json(path / "config.json")
    tokenizer_config = _read_json(path / "tokenizer_config.json", optional=True)
    tokenizer = path / "tokenizer.json"
    if _status(tokenizer) is None:
        raise UserError(
            f"`{path}` has no tokenizer.json",
            hint="`AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)` of transformers writes one",
        )
    files = _weight_files(path)
    return HuggingFaceFolder(
        path=path,
        config=config,
        generation_config=_read_json(path / "generation_config.json", optional=True),
        tokenizer_config=tokenizer_config,
        chat_template=_chat_template(path, tokenizer_config),
        tokenizer_json=read_file(tokenizer, MAX_TOKENIZER_BYTES),
        tensors=_map_weights(path, files),
        weight_files=tuple(files),
    )


def map_safetensors(path: Path) -> dict[str, FolderTensor]:
    """Map the tensors of one safetensors file; each must be F32, F16 or BF16."""
    where = f"`{path}`"
    with open_regular(path) as file:
        header = parse_header(read_header(file), file.size, where)
        data = file.map()
    types: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
    tensors = {}
    for name, entry in header.tensors.items():
        if entry.dtype not in types:
            raise UserError(f"{where}: tensor `{name}` has dtype {entry.dtype}, read are {', '.join(types)}")
        values = data[entry.begin : entry.end].view(types[entry.dtype])
        last = entry.shape[-1] if entry.shape else 1
        tensors[name] = FolderTensor(name=name, dtype=entry.dtype, shape=entry.shape, data=values.reshape(-1, last))
    return tensors


def _weight_files(path: Path) -> dict[str, set[str] | None]:
    """File name to the tensors that an index promises in it; None if there is no index."""
    if _status(path / _WHOLE) is not None:
        return {_WHOLE: None}
    if _status(path / _INDEX) is None:
        pickled = sorted(path.glob("pytorch_model*.bin"))
        if pickled:
            raise UserError(
                f"`{pickled[0]}` holds pickled weights, which can run code and are never read",
                hint="fetch the model as safetensors, or save it so with transformers",
            )
        raise UserError(
            f"`{path}` has neither {_WHOLE} nor {_INDEX}", hint="fetch the model again, with its safetensors files"
        )
    where = f"`{path / _INDEX}`"
    weight_map = _read_json(path / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{where}: `weight_map` is missing or not an object")
    files: dict[str, set[str] | None] = {}
    promised: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard):
            raise UserError(f"{where}: `{shown(tensor)}` is in `{shown(shard)}`, which is not a plain file name")
        promised.setdefault(shard, set()).add(tensor)
    if len(promised) > _MAX_SHARDS:
        raise UserError(f"{where}: {len(promised)} shards, allowed are {_MAX_SHARDS}")
    for shard in sorted(promised):
        if _status(path / shard) is None:
            raise UserError(f"{where}: shard `{shard}` is missing", hint="fetch the model again")
        files[shard] = promised[shard]
    return files


def _map_weights(path: Path, files: dict[str, set[str] | None]) -> dict[str, FolderTensor]:
    tensors: dict[str, FolderTensor] = {}
    homes: dict[tuple[int, int], str] = {}
    for name, promised in files.items():
        status = _status(path / name)
        twin = homes.setdefault((status.st_dev, status.st_ino), name) if status else name
        if twin != name:
            raise UserError(f"`{path}`: shards `{twin}` and `{name}` are the same file")
        found = map_safetensors(path / name)
        if promised is not None and found.keys() != promised:
            odd = min(found.keys() ^ promised)
            verb = "lacks" if odd in promised else "holds"
            raise UserError(f"`{path / name}` {verb} tensor `{shown(odd)}`, against what {_INDEX} says")
        twice = found.keys() & tensors.keys()
        if twice:
            raise UserError(f"`{path / name}`: tensor `{min(twice)}` is in another shard too")
        tensors.update(found)
    return tensors


def _chat_template(path: Path, tokenizer_config: Mapping[str, Any]) -> str | None:
    template = tokenizer_config.get("chat_template")
    if template is None and _status(path / "chat_template.jinja") is not None:
        try:
            return read_file(path / "chat_template.jinja", MAX_JSON_BYTES).decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"`{path / 'chat_template.jinja'}` is not UTF-8") from None
    if isinstance(template, list):
        # Several named templates: the one called `default` is for chat.
        named = [
            entry.get("template") for entry in template if isinstance(entry, dict) and entry.get("name") == "default"
        ]
        template = named[0] if named else None
    if template is not None and not isinstance(template, str):
        raise UserError(f"`{path / 'tokenizer_config.json'}`: `chat_template` is `{shown(template)}`, not text")
    return template


def _read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and _status(path) is None:
        return {}
    return parse_json(read_file(path, MAX_JSON_BYTES), f"`{path}`")


def _status(path: Path) -> os.stat_result | None:
    """What a path leads to; None if there is nothing."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_open(path, error) from error
