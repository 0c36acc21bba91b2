"""Hugging Face folders as sources: `LlamaForCausalLM` and `Phi3ForCausalLM`, fused or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError, shown
from pocketphi.formats.huggingface import FolderTensor, HuggingFaceFolder, open_folder
from pocketphi.formats.source import Source, naming, stack
from pocketphi.packing import Grid, WeightFormat
from pocketphi.tokenizer import Tokenizer

_FUSED = {
    "self_attn.qkv_proj.": ("self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."),
    "mlp.gate_up_proj.": ("mlp.gate_proj.", "mlp.up_proj."),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderMatrix:
    """A matrix of a folder."""

    tensor: FolderTensor

    @property
    def name(self) -> str:
        return self.tensor.name

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.tensor.data.shape
        return rows, cols

    @property
    def form(self) -> tuple[WeightFormat, int]:
        return WeightFormat(self.tensor.dtype.lower()), 0

    def grid(self) -> Grid:
        raise ValueError(f"`{self.name}` is not quantized")

    def floats(self, rows: slice) -> npt.NDArray[np.float32]:
        return self.tensor.to_float(rows)


def open_folder_source(path: Path) -> Source:
    """Open a model folder as a source.

    Raises:
        UserError: a file is damaged, or the model is not one that pocketphi runs.
    """
    folder = open_folder(path)
    config = naming(f"`{path / 'config.json'}`", lambda: DecoderConfig.from_published(folder.config))
    matrices = {
        name: FolderMatrix(tensor=tensor)
        for name, tensor in folder.tensors.items()
        if not name.endswith(".rotary_emb.inv_freq")
    }
    for name, matrix in matrices.items():
        if len(matrix.tensor.shape) > 2:
            raise UserError(f"`{path}`: tensor `{name}` has shape {matrix.tensor.shape}, expected a matrix or a vector")
    if config.tie_word_embeddings:
        # The reference ties the head to the embedding, whatever the file holds under its name.
        matrices.pop("lm_head.weight", None)
    return Source(
        files=tuple(path / name for name in folder.weight_files),
        config=config,
        tokenizer=naming(
            f"`{path / 'tokenizer.json'}`",
            lambda: Tokenizer.from_json(folder.tokenizer_json, config=folder.tokenizer_config),
        ),
        template_text=folder.chat_template,
        stop_token_ids=_stop_ids(folder, config.vocab_size),
        parts=stack(matrices, config, _candidates, f"`{path}`"),
    )


def _candidates(name: str) -> Sequence[Sequence[str]]:
    for fused, parts in _FUSED.items():
        if fused in name:
            return [[name], [name.replace(fused, part) for part in parts]]
    return [[name]]


def _stop_ids(folder: HuggingFaceFolder, vocab_size: int) -> tuple[int, ...]:
    ends: dict[int, None] = {}
    for file, fields in (("generation_config", folder.generation_config), ("config", folder.config)):
        found: Any = fields.get("eos_token_id")
        for token in found if isinstance(found, list) else [found]:
            if token is None:
                continue
            if type(token) is not int or not 0 <= token < vocab_size:
                raise UserError(
                    f"`{folder.path / file}.json`: `eos_token_id` holds `{shown(token)}`, "
                    f"allowed are 0 to {vocab_size - 1}"
                )
            ends[token] = None
    return tuple(ends)
