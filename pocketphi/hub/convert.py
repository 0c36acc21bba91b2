"""Import a model: a GGUF file or a Hugging Face folder becomes one `.pocket` file.

What happens to a weight depends on how it is stored:

- *4 and 8 bit grids* stay as they are. Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are kept exactly; the scales of
  K types are rounded to half precision (`pocketphi.formats.ggml` gives the bound).
- *16 bit* stays 16 bit: bfloat16 and float16 exactly.
- *32 bit* becomes float16, which is 8 times finer than bfloat16 and holds every weight of a trained
  model; only a matrix with a magnitude over 65504 becomes bfloat16.
- *vectors* (norms) become float32.

`bits` rounds every matrix that is stored in more bits to the nearest point of a 4 or 8 bit grid. At 4
bits a tied embedding gets 8 bits in groups of 32: it is the head as well, and its error would enter
every logit. An untied embedding and head get 4 bits like everything else: 8 bits for the two would add
2.6 % to the bytes that Phi-3-mini reads per token and push the file over 1.9 GiB.

Projections that the decoder wants fused may come in parts of different formats (a Q4_K_M file stores
some value rows as Q6_K). The parts are widened to the smallest format that holds all of them: the most
bits, a minimum if any has one, the smallest group. Widening repeats scales and shifts codes, which is
exact; only a grid fused with 16-bit rows is rounded, to float16. (Rows never mix, so a projection is
rounded just as its parts would be.)

The model is streamed tensor by tensor: memory holds one tensor's codes, not the model.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi import __version__
from pocketphi.architecture import expected_tensors
from pocketphi.chat import match_template
from pocketphi.errors import UserError
from pocketphi.formats.files import open_regular
from pocketphi.formats.pocket import ChatSettings, write_pocket
from pocketphi.hub.folder_source import open_folder_source
from pocketphi.hub.gguf_source import open_gguf_source
from pocketphi.hub.source import Matrix, Source, naming
from pocketphi.packing import (
    Grid,
    PackedTensor,
    WeightFormat,
    check_group,
    interleave_gate_up,
    interleave_grid,
    narrow_bfloat16,
    pack,
    pack_half,
    pack_vector,
    round_to_nearest,
)

EMBEDDING = "model.embed_tokens.weight"
Form = tuple[WeightFormat, int]
"""A format and its group."""

_CHUNK_WEIGHTS = 1 << 22
"""Weights that are held as float32 at a time."""
_MAX_HALF = 65504.0


def import_model(
    source: Path,
    out: Path,
    *,
    bits: int | None = None,
    group: int = 64,
    template: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Read a model and write it as a `.pocket` file, whole or not at all.

    Args:
        source: a GGUF file, or a folder with `config.json`, `tokenizer.json` and safetensors weights.
        out: the file to write; replaced if it exists and is no part of the source.
        bits: 4 or 8 to round every matrix that has more; None keeps what the source has.
        group: columns per scale of the rounding.
        template: a built-in chat template by name, instead of the source's.
        progress: called with weights done and weights in all.

    Returns:
        `out`.

    Raises:
        UserError: the source is damaged or not a model that pocketphi runs, or `out` cannot be written.
    """
    if bits not in (None, 4, 8):
        raise UserError(f"`bits` is {bits}, allowed are 4 and 8", hint="leave it out to keep the source's weights")
    if bits is not None:
        check_group(WeightFormat(f"q{bits}"), group)
    model = open_source(source)
    _check_spares(source, out)
    write_pocket(
        out,
        config=model.config,
        chat=_chat_settings(model, template, f"`{source}`"),
        lineage={
            "source": source.absolute().name,
            "sha256": {path.name: _sha256(path) for path in model.files},
            "importer": f"pocketphi {__version__}",
            "bits": bits,
            "group": None if bits is None else group,
        },
        tokenizer_json=model.tokenizer.to_json(),
        tensors=_tensors(model, bits, group, progress, f"`{source}`"),
    )
    return out


def _check_spares(source: Path, out: Path) -> None:
    """Refuse to replace what is being read: a slip of the keyboard must not cost a download."""
    try:
        is_in_folder = source.is_dir() and out.suffix != ".pocket" and out.parent.samefile(source)
        is_part = out.exists() and (is_in_folder or out.samefile(source))
    except OSError:
        return  # writing it will say why
    if is_part:
        raise UserError(f"cannot write `{out}`: it is part of the source", hint="choose another name")


def open_source(path: Path) -> Source:
    """Open a GGUF file or a Hugging Face folder; everything about it is checked but the weights' values."""
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError:
        is_folder = is_file = False  # opening it will say why
    if is_folder:
        return open_folder_source(path)
    if is_file and path.suffix in (".safetensors", ".json"):
        raise UserError(f"`{path}` is one file of a model folder", hint=f"give the folder: `{path.parent}`")
    return open_gguf_source(path)


def _chat_settings(model: Source, template: str | None, where: str) -> ChatSettings:
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


def _tensors(
    model: Source, bits: int | None, group: int, progress: Callable[[int, int], None] | None, where: str
) -> Iterator[tuple[str, PackedTensor]]:
    shapes = expected_tensors(model.config)
    total, done = sum(rows * cols for rows, cols in shapes.values()), 0
    for name, (rows, cols) in shapes.items():
        parts = model.parts[name]
        if rows == 1:
            yield name, pack_vector(_finite(parts[0], slice(None), where))
        else:
            form = choose_form([part.form for part in parts], bits, group)
            if name == EMBEDDING and model.config.tie_word_embeddings and bits == 4:
                form = choose_form([part.form for part in parts], 8, 32)
            convert = _pack_grid if form[0].is_quantized else _pack_half
            yield name, convert(parts, form, name.endswith(".gate_up_proj.weight"), where)
        done += rows * cols
        if progress is not None:
            progress(done, total)


def choose_form(forms: Sequence[Form], bits: int | None = None, group: int = 64) -> Form:
    """The smallest format that holds all parts of a fused matrix, after rounding those with more than `bits`.

    F32 stands for 16 bits of whichever kind fits the values.
    """
    kept: set[Form] = set()
    for form in forms:
        rounds = bits is not None and form[0].bits > bits
        kept.add((WeightFormat(f"q{bits}"), group) if rounds else form)
    if len(kept) == 1:
        return kept.pop()
    formats = {kind for kind, _ in kept}
    if not all(kind.is_quantized for kind in formats):
        return WeightFormat.F32, 0
    bits = max(kind.bits for kind in formats)
    suffix = "m" if any(kind.has_minimum for kind in formats) else ""
    return WeightFormat(f"q{bits}{suffix}"), min(size for _, size in kept)


def widen(grid: Grid, form: Form) -> Grid:
    """The same weights in a wider format: more bits, a minimum, smaller groups. Exact.

    Raises:
        UserError: a scale is so large that its minimum, -8 or -128 times it, leaves half precision.
    """
    kind, group = form
    repeats, rest = divmod(grid.group, group)
    if rest or kind.bits < grid.format.bits or (grid.format.has_minimum and not kind.has_minimum):
        raise ValueError(f"{grid.format} in groups of {grid.group} does not fit {kind} in groups of {group}")
    num_groups = -(-grid.shape[1] // group)
    scales, minima, codes = grid.scales, grid.minima, grid.codes
    if kind.has_minimum and minima is None:
        with np.errstate(over="ignore"):
            minima = scales * np.float16(-grid.format.zero_code)
        if not np.isfinite(minima).all():
            raise UserError("a scale is too large for a format with a minimum")
    elif not kind.has_minimum:
        codes = codes + np.uint8(kind.zero_code - grid.format.zero_code)
    return Grid(
        format=kind,
        group=group,
        codes=codes,
        scales=np.repeat(scales, repeats, axis=1)[:, :num_groups],
        minima=None if minima is None else np.repeat(minima, repeats, axis=1)[:, :num_groups],
    )


def _pack_grid(parts: Sequence[Matrix], form: Form, is_gate_up: bool, where: str) -> PackedTensor:
    kind, group = form
    grids = []
    for part in parts:
        grids += (
            [widen(naming(where, part.grid), form)]
            if part.form[0].bits <= kind.bits
            else [
                round_to_nearest(_finite(part, rows, where), kind.bits, group, kind.has_minimum)
                for rows in _chunks(part)
            ]
        )
    grid = Grid(
        format=kind,
        group=group,
        codes=np.concatenate([part.codes for part in grids]),
        scales=np.concatenate([part.scales for part in grids]),
        minima=np.concatenate([part.minima for part in grids if part.minima is not None]) if kind.has_minimum else None,
    )
    return pack(interleave_grid(grid) if is_gate_up else grid)


def _pack_half(parts: Sequence[Matrix], form: Form, is_gate_up: bool, where: str) -> PackedTensor:
    kind = form[0]
    if kind is WeightFormat.F32:
        largest = max(float(np.abs(_finite(part, rows, where)).max()) for part in parts for rows in _chunks(part))
        kind = WeightFormat.F16 if largest <= _MAX_HALF else WeightFormat.BF16
    bits = np.concatenate([_narrow(kind, _finite(part, rows, where)) for part in parts for rows in _chunks(part)])
    if is_gate_up:
        gate, up = np.split(bits, 2)
        bits = interleave_gate_up(gate, up)
    return pack_half(kind, bits)


def _narrow(kind: WeightFormat, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    return narrow_bfloat16(values) if kind is WeightFormat.BF16 else values.astype(np.float16).view(np.uint16)


def _chunks(part: Matrix) -> Iterator[slice]:
    rows, cols = part.shape
    step = max(1, _CHUNK_WEIGHTS // cols)
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def _finite(part: Matrix, rows: slice, where: str) -> npt.NDArray[np.float32]:
    values = part.floats(rows)
    if not np.isfinite(values).all():
        raise UserError(f"{where}: tensor `{part.name}` holds a number that is not finite")
    return values


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        digest = hashlib.sha256()
        data: Any = file.map()
        for begin in range(0, len(data), 1 << 24):
            digest.update(data[begin : begin + (1 << 24)].data)
    return digest.hexdigest()
