"""A source's weights in the engine's layout: widened or rounded, fused, interleaved, one tensor at a time.

Projections that the decoder wants fused may come in parts of different formats (a Q4_K_M file stores
some value rows as Q6_K). The parts are widened to the smallest format that holds all of them: the most
bits, a minimum if any has one, the smallest group. Widening repeats scales and shifts codes, which is
exact; only a grid fused with 16-bit rows is rounded, to float16. (Rows never mix, so a projection is
rounded just as its parts would be.)

The model is streamed tensor by tensor: memory holds one tensor's codes, not the model.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pocketphi.architecture import expected_tensors
from pocketphi.errors import UserError
from pocketphi.formats.source import Matrix, Source, naming
from pocketphi.packing import (
    Grid,
    PackedTensor,
    WeightFormat,
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


def pack_source(
    source: Source,
    form_of: Callable[[str, Sequence[Matrix]], Form],
    *,
    where: str,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, PackedTensor]]:
    """Every weight of a model, for `write_pocket`.

    Args:
        form_of: the form of a fused matrix, by its name and parts; F32 stands for 16 bits of whichever kind
            fits the values.
        where: names the source in errors.
        progress: called with weights done and weights in all.

    Raises:
        UserError: a weight is not finite, or a scale leaves half precision.
    """
    shapes = expected_tensors(source.config)
    total, done = sum(rows * cols for rows, cols in shapes.values()), 0
    for name, (rows, cols) in shapes.items():
        parts = source.parts[name]
        if rows == 1:
            yield name, pack_vector(finite_floats(parts[0], slice(None), where))
        else:
            form, is_gate_up = form_of(name, parts), name.endswith(".gate_up_proj.weight")
            if form[0].is_quantized:
                yield name, _pack_grid(parts, form, is_gate_up, where)
            else:
                yield name, _pack_half(parts, form, is_gate_up, where)
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
                round_to_nearest(finite_floats(part, rows, where), kind.bits, group, kind.has_minimum)
                for rows in chunks_of(part)
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
        largest = max(
            float(np.abs(finite_floats(part, rows, where)).max()) for part in parts for rows in chunks_of(part)
        )
        kind = WeightFormat.F16 if largest <= _MAX_HALF else WeightFormat.BF16
    bits = np.concatenate(
        [_narrow(kind, finite_floats(part, rows, where)) for part in parts for rows in chunks_of(part)]
    )
    if is_gate_up:
        gate, up = np.split(bits, 2)
        bits = interleave_gate_up(gate, up)
    return pack_half(kind, bits)


def _narrow(kind: WeightFormat, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    return narrow_bfloat16(values) if kind is WeightFormat.BF16 else values.astype(np.float16).view(np.uint16)


def chunks_of(part: Matrix) -> Iterator[slice]:
    """Runs of rows that are small enough to hold as float32."""
    rows, cols = part.shape
    step = max(1, _CHUNK_WEIGHTS // cols)
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def finite_floats(part: Matrix, rows: slice, where: str) -> npt.NDArray[np.float32]:
    """Some rows. Raises `UserError` if a number of them is not finite."""
    values = part.floats(rows)
    if not np.isfinite(values).all():
        raise UserError(f"{where}: tensor `{part.name}` holds a number that is not finite")
    return values
