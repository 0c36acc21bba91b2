"""Read GGUF files (versions 2 and 3, little endian), trusting none of their bytes.

    "GGUF"  version  number of tensors  number of metadata entries
    entries: key, type, value            infos: name, dimensions, type, offset
    data: the tensors, each padded to the alignment, in one run to the end of the file

`parse_gguf` works on bytes: it checks every length against the bytes that are left and every count
against a limit before it takes either for true, and accepts a file only if the tensors fill the data
without overlap, hole or foreign end. Arrays stay undecoded until they are asked for.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi.errors import UserError, shown
from pocketphi.formats.files import FETCH_AGAIN, open_regular
from pocketphi.formats.ggml import OTHER_TYPES, GgmlType, to_float, to_grid
from pocketphi.formats.limits import (
    ALIGNMENTS,
    MAX_ALL_ARRAY_VALUES,
    MAX_ARRAY_VALUES,
    MAX_DIMENSION,
    MAX_DIMENSIONS,
    MAX_METADATA_BYTES,
    MAX_METADATA_ENTRIES,
    MAX_NAME_BYTES,
    MAX_STRING_BYTES,
    MAX_TENSORS,
)
from pocketphi.packing import Grid

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER_BYTES = MAX_METADATA_BYTES + MAX_TENSORS * (MAX_NAME_BYTES + 8 * MAX_DIMENSIONS + 24)

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {
    kind: struct.Struct("<" + code)
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "B",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_UINT32 = 4
_U32, _U64 = _SCALARS[4], _SCALARS[10]


@dataclass(frozen=True, kw_only=True)
class _Array:
    """An array value that is still bytes."""

    kind: int
    count: int
    raw: bytes
    where: str

    def values(self) -> list[Any]:
        if self.kind == _STRING:
            return list(self._strings())
        scalar = _SCALARS[self.kind]
        values: list[Any] = np.frombuffer(self.raw, scalar.format).tolist()
        if self.kind == _BOOL:
            if not {0, 1}.issuperset(values):
                raise UserError(f"{self.where}: a truth value is neither 0 nor 1")
            return [bool(value) for value in values]
        return values

    def _strings(self) -> Iterator[str]:
        at = 0
        for index in range(self.count):
            length = _U64.unpack_from(self.raw, at)[0]
            at += 8
            yield _text(self.raw[at : at + length], f"{self.where}[{index}]")
            at += length


class Metadata(Mapping[str, Any]):
    """The metadata as numbers, truth values, strings and lists; a list is decoded when it is taken."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries

    def __getitem__(self, key: str) -> Any:
        value = self._entries[key]
        return value.values() if isinstance(value, _Array) else value

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """Where a tensor lies and how to read it."""

    kind: GgmlType
    shape: tuple[int, ...]
    """Rows first: the reverse of the file's order. The last dimension lies contiguous."""
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """What a file says about itself, checked."""

    version: int
    metadata: Metadata
    tensors: dict[str, TensorInfo]
    """In the order of their bytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GgufTensor:
    """A tensor of an open file."""

    name: str
    kind: GgmlType
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]
    """(rows, bytes per row), a view of the map; a vector is one row."""

    def grid(self, rows: slice = slice(None)) -> Grid:
        """Some rows of a quantized tensor as a grid of ours (see `pocketphi.formats.ggml`)."""
        return _named(self.name, to_grid, self.kind, self.data[rows])

    def dequantize(self, rows: slice | npt.NDArray[np.intp] = slice(None)) -> npt.NDArray[np.float32]:
        """Some rows as float32 (rows, cols), by ggml's definition."""
        return to_float(self.kind, self.data[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class GgufFile:
    """An open GGUF file, mapped read-only."""

    path: Path
    metadata: Metadata
    tensors: dict[str, GgufTensor]


def open_gguf(path: Path) -> GgufFile:
    """Open and map a GGUF file.

    Raises:
        UserError: it is not a readable GGUF file; the message names the field, its value and the limit.
    """
    with open_regular(path) as file:
        header = parse_gguf(file.read(0, min(file.size, MAX_HEADER_BYTES)), file.size, f"`{path}`")
        data = file.map()
    tensors = {
        name: GgufTensor(
            name=name,
            kind=info.kind,
            shape=info.shape,
            data=data[info.begin : info.end].reshape(-1, info.shape[-1] // info.kind.block[0] * info.kind.block[1]),
        )
        for name, info in header.tensors.items()
    }
    return GgufFile(path=path, metadata=header.metadata, tensors=tensors)


def parse_gguf(head: bytes, file_size: int, where: str) -> GgufHeader:
    """Check and understand a file's header.

    Args:
        head: the file's first bytes: all of them, or at least `MAX_HEADER_BYTES`.
        file_size: bytes of the whole file.
        where: names the file in errors.
    """
    reader = _Reader(head, where)
    version, num_tensors, num_entries = _read_counts(reader)
    entries: dict[str, Any] = {}
    for index in range(num_entries):
        key = reader.name(f"key of metadata entry {index}")
        if key in entries:
            raise reader.error(f"metadata key `{key}` occurs twice")
        kind = reader.number(_U32, f"type of `{key}`")
        entries[key] = reader.value(key, kind)
        if key == "general.alignment" and (kind != _UINT32 or entries[key] not in ALIGNMENTS):
            raise reader.error(f"`{key}` is `{shown(entries[key])}` of type {kind}, allowed are {ALIGNMENTS} of type 4")
        if reader.at > MAX_METADATA_BYTES:
            raise reader.error(f"metadata of more than {reader.at} bytes at `{key}`, allowed are {MAX_METADATA_BYTES}")
    alignment = entries.get("general.alignment", 32)
    infos: dict[str, TensorInfo] = {}
    for index in range(num_tensors):
        name = reader.name(f"name of tensor {index}")
        if name in infos:
            raise reader.error(f"tensor `{name}` occurs twice")
        infos[name] = reader.tensor_info(name)
    return GgufHeader(
        version=version,
        metadata=Metadata(entries),
        tensors=_place(infos, -(-reader.at // alignment) * alignment, alignment, file_size, where),
    )


def _read_counts(reader: "_Reader") -> tuple[int, int, int]:
    if reader.raw[:4] != MAGIC:
        what = "too short" if len(reader.raw) < 4 else f"it begins with `{shown(reader.raw[:4])}`"
        raise reader.error(f"not a GGUF file: {what}", "give a GGUF file or a Hugging Face folder")
    reader.at = 4
    version = reader.number(_U32, "version")
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        problem = f"version {version}, this pocketphi reads versions 2 and 3"
        if swapped in VERSIONS:
            problem = f"version {swapped} in big-endian byte order, only little endian is read"
        raise reader.error(problem)
    num_tensors = reader.number(_U64, "number of tensors")
    num_entries = reader.number(_U64, "number of metadata entries")
    if num_tensors > MAX_TENSORS:
        raise reader.error(f"{num_tensors} tensors, allowed are {MAX_TENSORS}")
    if num_entries > MAX_METADATA_ENTRIES:
        raise reader.error(f"{num_entries} metadata entries, allowed are {MAX_METADATA_ENTRIES}")
    return version, num_tensors, num_entries


def _place(
    infos: dict[str, TensorInfo], data_begin: int, alignment: int, file_size: int, where: str
) -> dict[str, TensorInfo]:
    """Make offsets absolute, and check that the tensors fill the data to its end without overlap or hole."""
    placed: dict[str, TensorInfo] = {}
    position = end = data_begin
    for name, info in sorted(infos.items(), key=lambda item: item[1].begin):
        begin = data_begin + info.begin
        if begin != position:
            problem = "overlaps the tensor before" if begin < position else "leaves a hole before it"
            raise UserError(f"{where}: tensor `{name}` begins at byte {begin}, expected {position}: it {problem}")
        end = begin + info.end
        position = -(-end // alignment) * alignment
        placed[name] = TensorInfo(kind=info.kind, shape=info.shape, begin=begin, end=end)
    # Writers differ in whether they pad the last tensor (and, without tensors, the header).
    if file_size not in (end, position) and (infos or file_size > data_begin):
        problem = "truncated" if file_size < end else "there is foreign data at the end"
        raise UserError(f"{where}: tensors end at byte {end}, the file at {file_size}: {problem}", hint=FETCH_AGAIN)
    return placed


class _Reader:
    """A position in a header. Every read names its field and checks the bytes that are left."""

    def __init__(self, raw: bytes, where: str) -> None:
        self.raw = raw
        self.where = where
        self.at = 0
        self.array_values = 0

    def error(self, problem: str, hint: str | None = None) -> UserError:
        return UserError(f"{self.where}: {problem}", hint=hint)

    def number(self, scalar: struct.Struct, field: str) -> Any:
        begin = self.at
        if begin + scalar.size > len(self.raw):
            raise self._truncated(field, scalar.size)
        self.at = begin + scalar.size
        return scalar.unpack_from(self.raw, begin)[0]

    def take(self, count: int, limit: int, field: str) -> bytes:
        if count > limit:
            raise self.error(f"{field} has {count} bytes, allowed are {limit}")
        begin = self.at
        if begin + count > len(self.raw):
            raise self._truncated(field, count)
        self.at = begin + count
        return self.raw[begin : self.at]

    def name(self, field: str) -> str:
        length = self.number(_U64, field)
        text = _text(self.take(length, MAX_NAME_BYTES, field), f"{self.where}: {field}")
        if not text or not text.isprintable():
            raise self.error(f"{field} is `{shown(text)}`: names are printable text")
        return text

    def value(self, key: str, kind: int) -> Any:
        if kind == _STRING:
            length = self.number(_U64, f"length of `{key}`")
            return _text(self.take(length, MAX_STRING_BYTES, f"`{key}`"), f"{self.where}: `{key}`")
        if kind == _ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            raise self.error(f"`{key}` has unknown type {kind}")
        value = self.number(_SCALARS[kind], f"`{key}`")
        if kind == _BOOL:
            if value not in (0, 1):
                raise self.error(f"`{key}` is {value}, a truth value is 0 or 1")
            return bool(value)
        return value

    def tensor_info(self, name: str) -> TensorInfo:
        """One tensor's info; `begin` is still relative to the data, and `end` the number of bytes."""
        num_dimensions = self.number(_U32, f"number of dimensions of `{name}`")
        if not 1 <= num_dimensions <= MAX_DIMENSIONS:
            raise self.error(f"tensor `{name}` has {num_dimensions} dimensions, allowed are 1 to {MAX_DIMENSIONS}")
        shape = tuple(self.number(_U64, f"dimensions of `{name}`") for _ in range(num_dimensions))[::-1]
        if not all(1 <= size <= MAX_DIMENSION for size in shape):
            raise self.error(f"tensor `{name}` has shape {shape}, allowed are sizes of 1 to {MAX_DIMENSION}")
        number = self.number(_U32, f"type of `{name}`")
        offset = self.number(_U64, f"offset of `{name}`")
        try:
            kind = GgmlType(number)
        except ValueError:
            known = ", ".join(kind.name for kind in GgmlType)
            raise self.error(f"tensor `{name}` has type {OTHER_TYPES.get(number, number)}, read are {known}") from None
        weights, size = kind.block
        if shape[-1] % weights:
            raise self.error(f"tensor `{name}` has rows of {shape[-1]}, {kind.name} needs a multiple of {weights}")
        count = 1
        for length in shape:
            count *= length
        return TensorInfo(kind=kind, shape=shape, begin=offset, end=count // weights * size)

    def _array(self, key: str) -> _Array:
        kind = self.number(_U32, f"element type of `{key}`")
        count = self.number(_U64, f"length of `{key}`")
        self.array_values += count
        if count > MAX_ARRAY_VALUES or self.array_values > MAX_ALL_ARRAY_VALUES:
            raise self.error(
                f"array `{key}` has {count} values, allowed are {MAX_ARRAY_VALUES} ({MAX_ALL_ARRAY_VALUES} in a file)"
            )
        begin = self.at
        if kind == _STRING:
            self._skip_strings(key, count)
        elif kind in _SCALARS:
            self.take(count * _SCALARS[kind].size, MAX_METADATA_BYTES, f"`{key}`")
        else:
            problem = "arrays of arrays are not read" if kind == _ARRAY else "unknown"
            raise self.error(f"array `{key}` has element type {kind}: {problem}")
        return _Array(kind=kind, count=count, raw=self.raw[begin : self.at], where=f"{self.where}: `{key}`")

    def _skip_strings(self, key: str, count: int) -> None:
        raw, at, end, unpack = self.raw, self.at, len(self.raw), _U64.unpack_from
        for index in range(count):
            if at + 8 > end:
                self.at = at
                raise self._truncated(f"`{key}[{index}]`", 8)
            length = unpack(raw, at)[0]
            if length > MAX_STRING_BYTES:
                raise self.error(f"`{key}[{index}]` has {length} bytes, allowed are {MAX_STRING_BYTES}")
            at += 8 + length
        if at > end:
            raise self._truncated(f"`{key}`", at - self.at)
        self.at = at

    def _truncated(self, field: str, count: int) -> UserError:
        left = len(self.raw) - self.at
        return self.error(f"truncated: {field} takes {count} bytes at byte {self.at}, {left} are left", FETCH_AGAIN)


def _text(raw: bytes, field: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{field} is `{shown(raw)}`, not UTF-8") from None


def _named(name: str, convert: Any, kind: GgmlType, data: npt.NDArray[np.uint8]) -> Grid:
    try:
        grid: Grid = convert(kind, data)
    except UserError as error:
        raise UserError(f"tensor `{name}`: {error.message}") from None
    return grid
