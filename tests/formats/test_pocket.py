"""The .pocket file: what is written comes back, a write is whole or absent, damage is found."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from formats.builders import rebuild_pocket, split_pocket
from pocketphi.architecture import inverse_frequencies
from pocketphi.errors import UserError
from pocketphi.formats.files import replace_file
from pocketphi.formats.pocket import ChatSettings, open_pocket, stored_shapes, verify_pocket, write_pocket
from pocketphi.packing import PackedTensor, WeightFormat, dequantize, pack_vector
from tiny import longrope_config, pack_weights, tiny_config, tiny_tokenizer, tiny_weights, write_tiny

FORMS = [(kind, group) for kind in WeightFormat if kind is not WeightFormat.F32 for group in kind.groups]
CHAT = ChatSettings(template="chatml", bos_token_id=None, stop_token_ids=(263, 261), pad_token_id=261)


def write(path: Path, **changes: Any) -> None:
    config = tiny_config()
    fields: dict[str, Any] = {
        "config": config,
        "chat": CHAT,
        "lineage": {"source": "caf\u00e9 \U0001f600", "parts": [1, 2.5, None]},
        "tokenizer_json": b'{"model": {}}',
        "tensors": pack_weights(tiny_weights(config), WeightFormat.Q4, 32),
    }
    write_pocket(path, **{**fields, **changes})


@pytest.mark.parametrize(("kind", "group"), FORMS)
def test_what_is_written_comes_back(kind: WeightFormat, group: int, tmp_path: Path):
    config = longrope_config(tie_word_embeddings=True)
    weights = dict(pack_weights(tiny_weights(config), kind, group))
    write(tmp_path / "x.pocket", config=config, tensors=weights.items())
    model = verify_pocket(tmp_path / "x.pocket")
    assert (model.config, model.chat) == (config, CHAT)
    assert model.lineage == {"source": "caf\u00e9 \U0001f600", "parts": [1, 2.5, None]}
    assert model.tokenizer_json == b'{"model": {}}'
    assert model.size == (tmp_path / "x.pocket").stat().st_size
    assert {name: tensor.shape for name, tensor in model.tensors.items()} == stored_shapes(config)
    for name, tensor in weights.items():
        assert (model.tensors[name].format, model.tensors[name].group) == (tensor.format, tensor.group)
        assert (model.tensors[name].data == tensor.data).all()
    short, long = inverse_frequencies(config.rope)
    assert dequantize(model.tensors["rope.inv_freq"])[0].tolist() == list(short)
    assert dequantize(model.tensors["rope.inv_freq_long"])[0].tolist() == list(long or ())


def test_tensors_are_mapped_read_only_at_multiples_of_64(tmp_path: Path):
    model = write_tiny(tmp_path / "x.pocket")
    for tensor in model.tensors.values():
        assert not tensor.data.flags.writeable
        assert tensor.data.ctypes.data % 64 == 0


def test_the_map_outlives_the_file_object_and_the_name(tmp_path: Path):
    data = write_tiny(tmp_path / "x.pocket").tensors["model.norm.weight"].data
    (tmp_path / "x.pocket").unlink()
    assert np.isfinite(data.view(np.float32)).all()


def test_it_is_a_safetensors_file(tmp_path: Path):
    model = write_tiny(tmp_path / "x.pocket")
    found = dict(safetensors.deserialize((tmp_path / "x.pocket").read_bytes()))
    assert found.keys() == {*model.tensors, "tokenizer"}
    for name, tensor in model.tensors.items():
        assert found[name]["dtype"] == "U8"
        assert bytes(found[name]["data"]) == tensor.data.tobytes()


def test_the_same_model_gives_the_same_bytes(tmp_path: Path):
    for name in "ab":
        write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_progress_never_goes_back_and_ends_at_the_total(tmp_path: Path):
    calls: list[tuple[int, int]] = []
    write(tmp_path / "x.pocket", progress=lambda *call: calls.append(call))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    calls.clear()
    verify_pocket(tmp_path / "x.pocket", lambda *call: calls.append(call))
    size = (tmp_path / "x.pocket").stat().st_size
    assert calls[-1] == (size, size)


def good_tensors() -> dict[str, PackedTensor]:
    return dict(pack_weights(tiny_weights(tiny_config()), WeightFormat.Q4, 32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: [item for item in t.items() if item[0] != "lm_head.weight"], "`lm_head.weight` is missing"),
        (lambda t: [*t.items(), *t.items()], "is foreign or given twice"),
        (lambda t: [*t.items(), ("evil", pack_vector(np.ones(4, np.float32)))], "`evil` .* is foreign"),
        (lambda t: [("model.norm.weight", pack_vector(np.ones(4, np.float32)))], "`model.norm.weight` of shape"),
    ],
)
def test_a_wrong_set_of_tensors_leaves_nothing_behind(spoil, message, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "x.pocket", tensors=spoil(good_tensors()))
    assert [*tmp_path.iterdir()] == []


class Stop(BaseException):
    """Ctrl-C, say."""


@pytest.mark.parametrize("error", [Stop(), UserError("no"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_broken_write_keeps_the_former_file_and_leaves_no_other(error: BaseException, tmp_path: Path):
    path = tmp_path / "x.pocket"
    write(path)
    before = path.read_bytes()

    def tensors() -> Any:
        for count, item in enumerate(good_tensors().items()):
            if count == 5:
                raise error
            yield item

    with pytest.raises(UserError if isinstance(error, OSError) else type(error)) as caught:
        write(path, tensors=tensors())
    if isinstance(error, OSError):
        assert "no space left on device" in str(caught.value)
        assert "free some space" in str(caught.value)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_a_full_disk_is_an_error_with_a_hint(tmp_path: Path):
    def fill() -> None:
        with replace_file(tmp_path / "x") as file:
            os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
            file.write(b"x" * 100_000)

    with pytest.raises(UserError, match="no space left on device") as caught:
        fill()
    assert caught.value.hint == "free some space or choose another folder"
    assert [*tmp_path.iterdir()] == []


def test_unwritable_places_are_errors(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot write .*: it is a directory") as error:
        write(tmp_path)
    assert error.value.hint
    with pytest.raises(UserError, match=r"cannot write .*: no such file or directory") as error:
        write(tmp_path / "absent" / "x.pocket")
    assert error.value.hint
    with pytest.raises(UserError, match=r"cannot write") as error:
        write(Path("/proc/x.pocket"))
    assert error.value.hint
    with pytest.raises(UserError, match=r"cannot write .*: file name too long") as error:
        write(tmp_path / ("x" * 300))
    assert error.value.hint


def test_every_damaged_tensor_is_named(tmp_path: Path):
    model = write_tiny(tmp_path / "x.pocket")
    raw = (tmp_path / "x.pocket").read_bytes()
    header, data = split_pocket(raw)
    begin = len(raw) - len(data)
    for name in [*model.tensors, "tokenizer"]:
        start, end = header[name]["data_offsets"]
        for at in (start, (start + end) // 2, end - 1):
            bad = bytearray(raw)
            bad[begin + at] ^= 4
            (tmp_path / "bad.pocket").write_bytes(bad)
            open_pocket(tmp_path / "bad.pocket")
            with pytest.raises(UserError, match=f"tensor `{name}` is damaged"):
                verify_pocket(tmp_path / "bad.pocket")


def test_a_newer_version_names_both(tmp_path: Path):
    write_tiny(tmp_path / "x.pocket")
    header, data = split_pocket((tmp_path / "x.pocket").read_bytes())
    header["__metadata__"]["pocket_version"] = "7"
    header["__metadata__"]["something_new"] = "x"
    (tmp_path / "x.pocket").write_bytes(rebuild_pocket(header, data))
    with pytest.raises(UserError, match="pocket_version 7, this pocketphi reads version 1") as error:
        open_pocket(tmp_path / "x.pocket")
    assert error.value.hint == "update pocketphi"


def test_padding_of_the_tokenizer_does_not_show(tmp_path: Path):
    for text in (tiny_tokenizer().to_json(), b"{}", b"{}" + b"\n" * 63):
        write(tmp_path / "x.pocket", tokenizer_json=text)
        model = open_pocket(tmp_path / "x.pocket")
        assert model.tokenizer_json == text
        assert json.loads(model.tokenizer_json) == json.loads(text)
