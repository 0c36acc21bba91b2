"""Read the header of a safetensors file, trusting none of it.

    8 bytes  length of the header, little endian
    header   JSON: name -> {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__"
    data     the tensors, back to back, to the end of the file

`parse_header` works on bytes and never touches the data. It accepts a file only if every byte after
the header belongs to exactly one tensor and every tensor takes exactly the bytes that its shape and
type say, so nothing can hide in a file and nothing can be read outside it.
"""

import math
from dataclasses import dataclass
from typing import Any

from pocketphi.errors import UserError, shown
from pocketphi.formats.files import FETCH_AGAIN, OpenFile
from pocketphi.formats.limits import MAX_DIMENSION, MAX_DIMENSIONS, MAX_JSON_BYTES, MAX_NAME_BYTES, MAX_TENSORS
from pocketphi.formats.strict_json import parse_json

PREFIX_BYTES = 8

_FIELDS = {"dtype", "shape", "data_offsets"}
ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """Where a tensor lies: bytes `begin` to `end` of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a safetensors file says about itself, checked."""

    metadata: dict[str, str]
    tensors: dict[str, TensorEntry]
    """In the order of their bytes."""
    data_begin: int


def read_header(file: OpenFile) -> bytes:
    """The length prefix and the header of an open file, as they are."""
    where = f"`{file.path}`"
    length = header_length(file.read(0, min(PREFIX_BYTES, file.size)), file.size, where)
    return file.read(0, PREFIX_BYTES + length)


def header_length(prefix: bytes, file_size: int, where: str) -> int:
    """The length of the JSON header, checked against the file's size and the limit."""
    if file_size < PREFIX_BYTES or len(prefix) < PREFIX_BYTES:
        raise UserError(f"{where}: too short for a safetensors file: {file_size} bytes", hint=FETCH_AGAIN)
    length = int.from_bytes(prefix[:PREFIX_BYTES], "little")
    if length > file_size - PREFIX_BYTES:
        raise UserError(
            f"{where}: truncated, or not a safetensors file: header length {length}, "
            f"but {file_size - PREFIX_BYTES} bytes follow",
            hint=FETCH_AGAIN,
        )
    if not 2 <= length <= MAX_JSON_BYTES:
        raise UserError(f"{where}: header length {length}, allowed are 2 to {MAX_JSON_BYTES}", hint=FETCH_AGAIN)
    return length


def parse_header(raw: bytes, file_size: int, where: str) -> Header:
    """Check and understand a header.

    Args:
        raw: the file's first bytes, at least up to the end of the header.
        file_size: bytes of the whole file.
        where: names the file in errors.

    Raises:
        UserError: anything at all is wrong; the message names the field and its value.
    """
    data_begin = PREFIX_BYTES + header_length(raw, file_size, where)
    if raw[PREFIX_BYTES] != ord("{"):
        raise UserError(f"{where}: not a safetensors file: the header does not start with an object")
    fields = parse_json(raw[PREFIX_BYTES:data_begin], f"{where}, header")
    metadata = fields.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UserError(f"{where}: `__metadata__` is not an object of strings")
    if len(fields) > MAX_TENSORS:
        raise UserError(f"{where}: {len(fields)} tensors, allowed are {MAX_TENSORS}")
    entries = {name: _entry(name, value, data_begin, where) for name, value in fields.items()}
    tensors = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    position, before = data_begin, "header"
    for name, entry in tensors.items():
        if entry.begin != position:
            problem = "overlaps" if entry.begin < position else "leaves a hole after"
            raise UserError(
                f"{where}: tensor `{shown(name)}` begins at byte {entry.begin}: {problem} `{shown(before)}`"
            )
        position, before = entry.end, name
    if position != file_size:
        problem = "truncated" if position > file_size else "there is foreign data at the end"
        raise UserError(
            f"{where}: tensors end at byte {position}, the file at {file_size}: {problem}", hint=FETCH_AGAIN
        )
    return Header(metadata=metadata, tensors=tensors, data_begin=data_begin)


def _entry(name: str, value: Any, data_begin: int, where: str) -> TensorEntry:
    def error(problem: str) -> UserError:
        return UserError(f"{where}, tensor `{shown(name)}`: {problem}")

    if not name or not name.isprintable() or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise error(f"names are 1 to {MAX_NAME_BYTES} bytes of printable text")
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise error("not an object of `dtype`, `shape` and `data_offsets`")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise error(f"unknown dtype `{shown(dtype)}`")
    if not _is_counts(shape) or len(shape) > MAX_DIMENSIONS or not all(1 <= size <= MAX_DIMENSION for size in shape):
        raise error(f"shape `{shown(shape)}`, allowed are up to {MAX_DIMENSIONS} sizes of 1 to {MAX_DIMENSION}")
    if not _is_counts(offsets) or len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] < 1 << 63:
        raise error(f"data_offsets `{shown(offsets)}` are not a range")
    expected = math.prod(shape) * ITEM_BYTES[dtype]
    if offsets[1] - offsets[0] != expected:
        raise error(f"{offsets[1] - offsets[0]} bytes, but {dtype} of shape {shape} takes {expected}")
    return TensorEntry(dtype=dtype, shape=tuple(shape), begin=data_begin + offsets[0], end=data_begin + offsets[1])


def _is_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int for number in value)
