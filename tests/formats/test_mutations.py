"""Every truncation and every changed byte of a small valid file: refused, or read as the reference reader reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import gguf
import numpy as np
import pytest
import safetensors

from formats.builders import ARRAY, BOOL, F32, F64, I32, STRING, U8, U32, U64, Gguf, Tensor, array, small_safetensors
from pocketphi.errors import UserError
from pocketphi.formats.ggml import GgmlType
from pocketphi.formats.gguf import GgufHeader, open_gguf, parse_gguf
from pocketphi.formats.pocket import open_pocket, parse_pocket
from pocketphi.formats.safetensors import Header, parse_header
from tiny import tiny_config, write_tiny

T = TypeVar("T")
FAST = tuple(1 << bit for bit in range(8))
ALL = tuple(range(1, 256))
SLOW = [pytest.param(FAST, id="bits"), pytest.param(ALL, id="values", marks=pytest.mark.slow)]


def small_gguf() -> bytes:
    """Every kind of value and several types of tensor in a few hundred bytes."""
    file = Gguf()
    file.put("general.architecture", STRING, "llama")
    file.put("general.alignment", U32, 32)
    file.put("a.flag", BOOL, 1)
    file.put("a.half", F32, 0.5)
    file.put("a.long", U64, 7)
    file.put("a.real", F64, -2.5)
    file.put("a.ints", ARRAY, array(I32, [1, -2, 3]))
    file.put("a.words", ARRAY, array(STRING, ["one", "", "drei\u00df"]))
    file.put("a.bytes", ARRAY, array(U8, [1, 2]))
    random = np.random.default_rng(0)
    for name, kind, dimensions in [
        ("x", GgmlType.F32, [3]),
        ("y.weight", GgmlType.Q4_0, [32, 2]),
        ("z", GgmlType.BF16, [2, 2, 2]),
    ]:
        count = int(np.prod(dimensions)) // kind.block[0] * kind.block[1]
        file.tensors.append(Tensor(name, kind, dimensions, random.bytes(count)))
    return file.build()


def changed(raw: bytes, end: int, masks: tuple[int, ...]) -> Iterator[tuple[str, bytes]]:
    for at in range(end):
        for mask in masks:
            copy = bytearray(raw)
            copy[at] ^= mask
            yield f"byte {at} xor {mask}", bytes(copy)


def read(parse: Callable[[bytes, int, str], T], raw: bytes) -> T | None:
    """What a reader makes of a file; None if it refuses it, by name."""
    try:
        return parse(raw, len(raw), "`file`")
    except UserError as error:
        if "`file`" not in error.message:
            raise
        return None


def read_metadata(header: GgufHeader) -> dict[str, Any] | None:
    """All values, arrays decoded."""
    return read(lambda *_: dict(header.metadata), b"")


def same(ours: Any, theirs: Any) -> bool:
    """Equal, a NaN equal to itself, numbers of the same type."""
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and (ours == theirs or (ours != ours and theirs != theirs))


def check_as_reference(raw: bytes, header: GgufHeader, path: Path) -> None:
    path.write_bytes(raw)
    reference = gguf.GGUFReader(path)
    fields = {key: field for key, field in reference.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata.keys() == fields.keys()
    for key, field in fields.items():
        theirs = field.contents()
        if theirs is None or (isinstance(theirs, list) and not theirs):
            assert header.metadata[key] == []
        else:
            assert same(header.metadata[key], theirs), key
    ours = open_gguf(path).tensors
    assert ours.keys() == {tensor.name for tensor in reference.tensors}
    for tensor in reference.tensors:
        assert ours[tensor.name].shape == tuple(reversed(tensor.shape.tolist()))
        assert ours[tensor.name].kind == tensor.tensor_type
        assert ours[tensor.name].data.tobytes() == tensor.data.tobytes()


@pytest.mark.parametrize("masks", SLOW)
def test_gguf_bytes(masks: tuple[int, ...], tmp_path: Path):
    raw = small_gguf()
    end = parse_gguf(raw, len(raw), "x").tensors["x"].begin
    accepted = 0
    for _, bad in changed(raw, end, masks):
        header = read(parse_gguf, bad)
        if header is None or read_metadata(header) is None:
            continue
        # In the exhaustive run every tenth of the accepted ones goes to the (slow) reference.
        accepted += 1
        if masks is FAST or accepted % 10 == 0:
            check_as_reference(bad, header, tmp_path / "x.gguf")
    assert accepted > 100


def test_gguf_truncations(tmp_path: Path):
    raw = small_gguf()
    for size in range(len(raw)):
        header = read(parse_gguf, raw[:size])
        if header is not None:
            assert len(raw) - size < 32, "only the padding may be missing"
            check_as_reference(raw[:size], header, tmp_path / "x.gguf")


def check_as_safetensors(raw: bytes, header: Header) -> None:
    reference = dict(safetensors.deserialize(raw))
    assert header.tensors.keys() == reference.keys()
    for name, entry in header.tensors.items():
        assert list(entry.shape) == reference[name]["shape"]
        assert entry.dtype == reference[name]["dtype"]
        assert raw[entry.begin : entry.end] == bytes(reference[name]["data"])


def test_safetensors_bytes():
    raw = small_safetensors()
    end = parse_header(raw, len(raw), "x").data_begin
    accepted = 0
    for _, bad in changed(raw, end, ALL):
        header = read(parse_header, bad)
        if header is not None:
            accepted += 1
            check_as_safetensors(bad, header)
    assert accepted > 100


def test_safetensors_truncations():
    raw = small_safetensors()
    for size in range(len(raw)):
        with pytest.raises(UserError, match="`x`"):
            parse_header(raw[:size], size, "`x`")


@pytest.mark.parametrize("masks", SLOW)
def test_every_changed_byte_of_a_pocket_header_is_detected(masks: tuple[int, ...], tmp_path: Path):
    config = tiny_config(num_hidden_layers=1, hidden_size=32, intermediate_size=32)
    raw = write_tiny(tmp_path / "x.pocket", config).path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    parse_pocket(raw, len(raw), "x")
    for what, bad in changed(raw, end, masks):
        assert read(parse_pocket, bad) is None, what


def test_pocket_truncations(tmp_path: Path):
    path = write_tiny(tmp_path / "x.pocket", tiny_config(num_hidden_layers=1)).path
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    for size in [*range(0, end, 31), *range(end - 9, end + 9), *range(end, len(raw), 499), len(raw) - 1]:
        path.write_bytes(raw[:size])
        with pytest.raises(UserError, match=r"x\.pocket"):
            open_pocket(path)
