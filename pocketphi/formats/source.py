"""A model to import or to quantize, in one form whatever it comes from.

A `Source` names its weights as the decoder does, fused, and gives each as the parts whose rows it
stacks: `qkv_proj` may be three matrices or one. A part hands out its rows as a grid or as floats and
leaves them in the file until then. `gguf_source` and `folder_source` make sources.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pocketphi.architecture import DecoderConfig, expected_tensors
from pocketphi.chat import match_template
from pocketphi.errors import UserError, shown
from pocketphi.formats.pocket import ChatSettings
from pocketphi.packing import Grid, WeightFormat
from pocketphi.tokenizer import Tokenizer

T = TypeVar("T")
MAX_LISTED = 5


class Matrix(Protocol):
    """A matrix of a source; a vector is one row."""

    @property
    def name(self) -> str:
        """As the source calls it."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""

    @property
    def form(self) -> tuple[WeightFormat, int]:
        """The format and group that hold it best: a grid's own, or its 16 or 32 bits and group 0."""

    def grid(self) -> Grid:
        """All rows, if `form` is quantized."""

    def floats(self, rows: slice) -> npt.NDArray[np.float32]:
        """Some rows, exactly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A model to import."""

    files: tuple[Path, ...]
    """The files that hold its weights."""
    config: DecoderConfig
    tokenizer: Tokenizer
    template_text: str | None
    """The chat template that it carries: data, never run."""
    stop_token_ids: tuple[int, ...]
    """End-of-text ids that it names beside the tokenizer's own."""
    parts: Mapping[str, Sequence[Matrix]]
    """Every weight of `expected_tensors(config)`, as the matrices whose rows it stacks."""


def stack(
    matrices: Mapping[str, Matrix],
    config: DecoderConfig,
    candidates: Callable[[str], Sequence[Sequence[str]]],
    where: str,
) -> dict[str, tuple[Matrix, ...]]:
    """Find every weight of the decoder among a source's matrices.

    Args:
        matrices: all that the source holds, by its own names.
        candidates: for a published name, the source's names of its parts; several choices if a weight may
            be stored whole or in parts, the usual one first.
        where: names the source in errors.

    Raises:
        UserError: a weight is missing, foreign or of the wrong shape; up to five are listed.
    """
    found: dict[str, tuple[Matrix, ...]] = {}
    missing: list[str] = []
    wrong: list[str] = []
    taken: set[str] = set()
    for name, (rows, cols) in expected_tensors(config).items():
        choices = candidates(name)
        names = next((choice for choice in choices if all(part in matrices for part in choice)), None)
        if names is None:
            missing += [part for part in choices[0] if part not in matrices]
            continue
        taken.update(names)
        found[name] = tuple(matrices[part] for part in names)
        shapes = [(count, cols) for count in _part_rows(rows, len(names), config)]
        wrong += [
            f"`{part.name}` is {part.shape}, expected {shape}"
            for part, shape in zip(found[name], shapes, strict=True)
            if part.shape != shape
        ]
    foreign = [name for name in matrices if name not in taken]
    for names, problem in ((missing, "missing"), (foreign, "not of this architecture")):
        if names:
            listed = ", ".join(f"`{shown(name)}`" for name in names[:MAX_LISTED])
            raise UserError(f"{where}: {len(names)} tensors are {problem}: {listed}")
    if wrong:
        raise UserError(f"{where}: {len(wrong)} tensors have a wrong shape: {'; '.join(wrong[:MAX_LISTED])}")
    return found


def chat_settings(model: Source, template: str | None, where: str) -> ChatSettings:
    """What a chat with this model needs to know.

    Args:
        template: a built-in chat template by name, instead of the source's.
        where: names the source in errors.

    Raises:
        UserError: the tokenizer is another model's, the template is unknown, or nothing would end an answer.
    """
    tokenizer, rows = model.tokenizer, model.config.vocab_size
    if tokenizer.vocab_size > rows:
        raise UserError(
            f"{where}: the tokenizer has {tokenizer.vocab_size} tokens, the embedding only {rows} rows",
            hint="the tokenizer belongs to another model",
        )
    chosen = naming(
        where,
        lambda: match_template(
            name=template, template_text=model.template_text, special_tokens=tokenizer.special_ids.keys()
        ),
    )
    turn_ends = (tokenizer.special_ids[name] for name in chosen.turn_end if name in tokenizer.special_ids)
    ends = tuple(dict.fromkeys((*model.stop_token_ids, *tokenizer.eos_ids, *turn_ends)))
    if not ends:
        raise UserError(
            f"{where}: nothing would end an answer: no end-of-text token is named, and the vocabulary has none of "
            f"template `{chosen.name}`: {', '.join(chosen.turn_end)}",
            hint="choose the template that the model was trained with: --template",
        )
    return ChatSettings(
        template=chosen.name,
        bos_token_id=tokenizer.bos_id if tokenizer.add_bos else None,
        stop_token_ids=ends,
        pad_token_id=tokenizer.pad_id,
    )


def naming(where: str, action: Callable[[], T]) -> T:
    """Run `action`; its `UserError` gains the name of the file that it is about."""
    try:
        return action()
    except UserError as error:
        raise UserError(f"{where}: {error.message}", hint=error.hint) from None


def _part_rows(rows: int, num_parts: int, config: DecoderConfig) -> list[int]:
    if num_parts == 3:  # query, key, value
        key = config.num_key_value_heads * config.head_dim
        return [rows - 2 * key, key, key]
    return [rows // num_parts] * num_parts
