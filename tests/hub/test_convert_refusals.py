"""Importing refuses: what is wrong is named, and no file is left behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.builders import BOOL, F32, STRING, U16, U32, Gguf, Tensor, model_gguf, write_folder
from pocketphi.errors import UserError
from pocketphi.formats.ggml import GgmlType
from pocketphi.hub.convert import import_model


def refuse(file: Gguf, folder: Path, match: str, **options: Any) -> None:
    (folder / "model.gguf").write_bytes(file.build())
    with pytest.raises(UserError, match=match):
        import_model(folder / "model.gguf", folder / "model.pocket", **options)
    assert {path.name for path in folder.iterdir()} == {"model.gguf"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.put("general.architecture", STRING, "gemma"), "`general.architecture` is `gemma`"),
        (lambda f: f.drop("general.architecture"), "`general.architecture` is `None`"),
        (lambda f: f.drop("llama.block_count"), "`llama.block_count` is missing"),
        (lambda f: f.put("llama.block_count", STRING, "2"), "`llama.block_count` is `2`, not a number"),
        (lambda f: f.put("llama.block_count", U32, 0), "`num_hidden_layers` is 0"),
        (lambda f: f.put("llama.block_count", U32, 10**9), "`num_hidden_layers` is 1000000000"),
        (lambda f: f.put("llama.attention.head_count", U32, 0), "`llama.attention.head_count` is 0"),
        (lambda f: f.put("llama.attention.head_count", U32, 3), "`llama.attention.head_count` 3 does not divide"),
        (lambda f: f.put("llama.attention.head_count_kv", U32, 3), "`num_key_value_heads` 3 does not divide"),
        (lambda f: f.put("llama.context_length", U32, 2**31), "`max_position_embeddings` is 2147483648"),
        (lambda f: f.put("llama.rope.freq_base", F32, float("nan")), "`rope_theta` is `nan`"),
        (lambda f: f.put("llama.rope.freq_base", F32, 0.0), "`rope_theta` is `0.0`"),
        (lambda f: f.put("llama.attention.layer_norm_rms_epsilon", F32, -1.0), "`rms_norm_eps` is `-1.0`"),
        (lambda f: f.put("llama.rope.dimension_count", U32, 8), "`llama.rope.dimension_count` is 8"),
        (lambda f: f.put("llama.rope.scaling.type", STRING, "yarn"), "`llama.rope.scaling.type` is `yarn`"),
        (lambda f: f.put("llama.rope.scaling.factor", F32, 4.0), "`llama.rope.scaling.factor` is `4.0`"),
        (lambda f: f.put("llama.rope.scaling.attn_factor", F32, 2.0), "`llama.rope.scaling.attn_factor` is 2.0"),
        (lambda f: f.put("split.count", U16, 3), "`split.count` is 3"),
        (lambda f: f.put("llama.expert_count", U32, 8), "mixtures of experts"),
        (lambda f: f.put("llama.attention.sliding_window", U32, 8), "`llama.attention.sliding_window` is 8"),
        (lambda f: f.put("llama.logit_scale", F32, 2.0), "unknown metadata key `llama.logit_scale`"),
        (lambda f: f.put("tokenizer.chat_template", STRING, "{{ evil }}"), "not one that pocketphi knows"),
        (lambda f: f.drop("tokenizer.chat_template"), "names no chat template"),
        (lambda f: f.put("tokenizer.chat_template", BOOL, 1), "`tokenizer.chat_template` is not text"),
        (lambda f: f.drop("tokenizer.ggml.tokens"), "`tokenizer.ggml.tokens` is missing"),
    ],
)  # fmt: skip
def test_bad_metadata_is_named_and_leaves_no_file(change, message, tmp_path):
    refuse(change(model_gguf()), tmp_path, message)


def test_wrong_tensors_are_listed(tmp_path):
    missing = model_gguf()
    missing.tensors = [t for t in missing.tensors if "ffn_down" not in t.name]
    refuse(missing, tmp_path, "2 tensors are missing: `blk.0.ffn_down.weight`, `blk.1.ffn_down.weight`")
    foreign = model_gguf()
    foreign.tensors.append(Tensor("blk.0.attn_q.bias", GgmlType.F32, [64], bytes(256)))
    refuse(foreign, tmp_path, "1 tensors are not of this architecture: `blk.0.attn_q.bias`")
    refuse(model_gguf().put("llama.feed_forward_length", U32, 64), tmp_path, r"`blk.0.ffn_gate.weight` is \(96, 64\)")


def test_a_tokenizer_larger_than_the_embedding_is_refused(tmp_path):
    refuse(model_gguf(rows=200), tmp_path, "the tokenizer has 264 tokens, the embedding only 200 rows")


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("kind", [GgmlType.F32, GgmlType.F16, GgmlType.BF16, GgmlType.Q4_0, GgmlType.Q8_0])
def test_weights_that_are_not_finite_are_refused_by_name(kind, bits, tmp_path):
    file = model_gguf({"": kind})
    tensor = next(t for t in file.tensors if t.name == "blk.1.ffn_up.weight")
    size = 4 if kind is GgmlType.F32 else 2
    tensor.data = b"\xff\xff\xff\x7f"[-size:] + tensor.data[size:]
    refuse(file, tmp_path, "`blk.1.ffn_up.weight`", bits=bits)


def test_scales_of_k_types_beyond_half_precision_are_refused(tmp_path):
    file = model_gguf({"": GgmlType.Q4_K}, hidden=256, inner=256)
    tensor = next(t for t in file.tensors if t.name == "blk.0.ffn_up.weight")
    block = bytearray(tensor.data)
    block[0:2] = np.float16(60000).tobytes()
    block[4:16] = b"\xff" * 12
    tensor.data = bytes(block)
    refuse(file, tmp_path, "`blk.0.ffn_up.weight`.*half precision")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bits": 3}, "`bits` is 3, allowed are 4 and 8"), ({"bits": 4, "group": 16}, "groups of 16, allowed: 32"),
     ({"bits": 8, "group": 48}, "groups of 48")],
)  # fmt: skip
def test_odd_options_are_refused(options, message, tmp_path):
    refuse(model_gguf(), tmp_path, message, **options)


def test_a_file_of_a_folder_points_to_the_folder(tmp_path):
    folder = write_folder(tmp_path / "hf")
    with pytest.raises(UserError, match="is one file of a model folder") as error:
        import_model(folder / "model.safetensors", tmp_path / "out.pocket")
    assert str(folder) in error.value.hint


def test_folders_name_what_is_wrong(tmp_path):
    folder = write_folder(tmp_path / "hf", num_shards=3)

    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match):
            import_model(folder, tmp_path / "out.pocket")
        assert not (tmp_path / "out.pocket").exists()

    index = folder / "model.safetensors.index.json"
    good = index.read_text()
    shards = sorted(set(json.loads(good)["weight_map"].values()))
    for bad in ("../x.safetensors", "/etc/passwd", "a/b.safetensors", ".hidden.safetensors", "x.bin", 7, None):
        fields = json.loads(good)
        fields["weight_map"]["model.norm.weight"] = bad
        index.write_text(json.dumps(fields))
        refused("not a plain file name")
    index.write_text(good.replace(shards[0], "missing.safetensors"))
    refused("shard `missing.safetensors` is missing")
    fields = json.loads(good)
    moved = next(name for name, shard in fields["weight_map"].items() if shard == shards[0])
    index.write_text(json.dumps({"weight_map": {**fields["weight_map"], moved: shards[1]}}))
    refused("against what model.safetensors.index.json says")
    index.write_text(good)
    backup = (folder / shards[1]).read_bytes()
    (folder / shards[1]).unlink()
    (folder / shards[1]).symlink_to(folder / shards[0])
    refused("are the same file")
    (folder / shards[1]).unlink()
    (folder / shards[1]).write_bytes(backup)
    import_model(folder, tmp_path / "fine.pocket")
    for shard in shards:
        (folder / shard).unlink()
    index.unlink()
    refused("has neither model.safetensors nor model.safetensors.index.json")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    refused("holds pickled weights, which can run code and are never read")
    (folder / "tokenizer.json").unlink()
    refused("has no tokenizer.json")


def test_a_template_whose_tokens_are_absent_is_refused(tmp_path):
    refuse(model_gguf(), tmp_path, "`llama-2` needs the control token", template="llama-2")


def test_the_source_is_never_replaced(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(model_gguf().build())
    (tmp_path / "link.pocket").symlink_to(file)
    folder = write_folder(tmp_path / "folder")
    import_model(folder, folder / "model.pocket")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source, out in (
        (file, file),
        (file, tmp_path / "link.pocket"),
        (folder, folder / "model.safetensors"),
        (folder, folder / "config.json"),
    ):
        with pytest.raises(UserError, match="part of the source"):
            import_model(source, out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    import_model(folder, folder / "model.pocket")


def test_an_odd_name_to_write_to_is_an_error(tmp_path):
    (tmp_path / "model.gguf").write_bytes(model_gguf().build())
    with pytest.raises(UserError, match=r"cannot write .*: file name too long"):
        import_model(tmp_path / "model.gguf", tmp_path / ("x" * 300))
