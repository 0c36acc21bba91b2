"""Quantizing a checkpoint: one file that chats, near the model it came from, within bounded memory."""

import itertools
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketphi.architecture import DecoderConfig
from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.errors import UserError
from pocketphi.formats.pocket import open_pocket, verify_pocket
from pocketphi.model.checkpoint import load_checkpoint, load_pocket, save_checkpoint
from pocketphi.model.decoder import Decoder
from pocketphi.model.initialise import initialise
from pocketphi.packing import WeightFormat
from pocketphi.quant.quantize import MODEL_FILE, quantize
from pocketphi.quant.sensitivity import Divergence, calibration_tokens
from pocketphi.recipe import Quantize, TokenizerTable
from pocketphi.runtime.model import Model
from pocketphi.tokenizer.train import load_tokenizer, train_tokenizer
from tiny import tiny_config

pytestmark = pytest.mark.usefixtures("one_thread")

RANDOM = np.random.default_rng(0)
NAMES = ["".join(RANDOM.choice(["ba", "ko", "mi", "ra", "su", "ten", "lo"], 3)).title() for _ in range(40)]
TEXTS = [
    f"{RANDOM.choice(NAMES)} has {n} apples and {RANDOM.choice(NAMES)} has {n + 3} green pears." for n in range(300)
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return train_tokenizer(
        TokenizerTable(vocab_size=320), TEXTS, tmp_path_factory.mktemp("tokenizer") / "tokenizer", seed=1
    )


@pytest.fixture
def checkpoint(tmp_path: Path, tokenizer: Artifact) -> Callable[..., Artifact]:
    def make(
        config: DecoderConfig | None = None,
        name: str = "dpo",
        change: Callable[[Decoder], None] = lambda _: None,
    ) -> Artifact:
        config = tiny_config(vocab_size=320) if config is None else config
        model = initialise(Decoder(config), torch.Generator().manual_seed(1))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 2:
                    weight *= 4
            change(model)
        with publish(tmp_path / name, kind="checkpoint", stage=name, settings={}, parents=(tokenizer,)) as draft:
            end = load_tokenizer(tokenizer).special_ids["<|end|>"]
            save_checkpoint(model, draft.path, tokenizer_dir=tokenizer.path, stop_token_ids=[end])
        return open_artifact(tmp_path / name)

    return make


def test_the_file_chats(checkpoint: Callable[..., Artifact], tmp_path: Path):
    made = quantize(Quantize(), checkpoint(), tmp_path / "model", seed=1)
    file = verify_pocket(made.path / MODEL_FILE)
    with Model(file, threads=1) as model:
        names = model.tokenizer.special_ids
        assert file.chat.template == "phi-3"
        assert file.chat.bos_token_id is None
        assert {names["<|end|>"], names["<|endoftext|>"]} <= set(file.chat.stop_token_ids)
        assert isinstance("".join(model.session().reply("Who has apples?", max_tokens=8)), str)
    assert made.kind == "model"
    assert made.manifest["parents"]


def test_logits_stay_near_those_of_the_checkpoint(checkpoint: Callable[..., Artifact], tmp_path: Path):
    source = checkpoint()
    tokens = torch.randint(0, 320, (1, 60), generator=torch.Generator().manual_seed(2))
    whole = load_checkpoint(source.path)
    reference, errors = whole.logits(whole(tokens)).detach(), {}
    for group in (32, 64, 128):
        made = quantize(Quantize(group=group), source, tmp_path / f"model{group}", seed=1)
        model = load_pocket(made.path / MODEL_FILE)
        errors[group] = float(((model.logits(model(tokens)).detach() - reference) ** 2).mean() / reference.var())
    assert max(errors.values()) < 0.1
    assert errors[32] < errors[128]


@pytest.mark.parametrize("model_type", ["phi3", "llama"])
def test_fused_and_split_folders_give_the_same_weights(
    checkpoint: Callable[..., Artifact], tmp_path: Path, model_type: str
):
    config = tiny_config(vocab_size=320, model_type=model_type)
    made = quantize(Quantize(), checkpoint(config, model_type), tmp_path / "model", seed=1)
    ours = load_pocket(made.path / MODEL_FILE)
    source = load_checkpoint(tmp_path / model_type)
    for name, weight in source.named_parameters():
        if weight.dim() == 2:
            error = ((ours.get_parameter(name) - weight) ** 2).sum() / (weight**2).sum()
            assert error < 0.015, name
        else:
            assert torch.equal(ours.get_parameter(name), weight), name


def test_a_tied_embedding_is_one_tensor_of_eight_bits(checkpoint: Callable[..., Artifact], tmp_path: Path):
    source = checkpoint(tiny_config(vocab_size=320, tie_word_embeddings=True))
    loose = Quantize(max_divergence=100.0)
    for table, bits in ((loose, 8), (Quantize(embedding_bits=8), 8), (Quantize(embedding_bits=4), 4)):
        for calibration in (None, TEXTS):
            made = quantize(table, source, tmp_path / "model", seed=1, calibration=calibration)
            tensors = open_pocket(made.path / MODEL_FILE).tensors
            assert tensors["model.embed_tokens.weight"].format.bits == bits
            assert "lm_head.weight" not in tensors
            assert made.summary["embedding_bits"] == made.summary["head_bits"] == bits


def test_a_sensitive_head_gets_eight_bits(checkpoint: Callable[..., Artifact], tmp_path: Path):
    """One large weight in every group of the head's rows: 4 bits ruin the others. The embedding's rows are even."""

    def spoil(model: Decoder) -> None:
        model.lm_head.weight[:, ::32] *= 30

    source = checkpoint(change=spoil)
    made = quantize(Quantize(), source, tmp_path / "model", seed=1, calibration=TEXTS)
    divergence = made.summary["divergence_at_4_bits"]
    kinds = {f"{place}.{kind}_proj" for place in ("first", "last") for kind in ("qkv", "o", "gate_up", "down")}
    assert divergence.keys() == {"embed_tokens", "lm_head", *kinds}
    assert divergence["lm_head"] == max(divergence.values())
    assert made.summary["head_bits"] == 8
    blind = quantize(Quantize(), source, tmp_path / "blind", seed=1)
    assert blind.summary["head_bits"] == 4
    assert blind.summary["divergence_at_4_bits"] == {}
    assert blind.summary["bytes"] < made.summary["bytes"]


def test_an_even_head_stays_at_four_bits(checkpoint: Callable[..., Artifact], tmp_path: Path):
    def quieten(model: Decoder) -> None:
        model.lm_head.weight *= 1e-3

    made = quantize(Quantize(), checkpoint(change=quieten), tmp_path / "model", seed=1, calibration=TEXTS)
    assert made.summary["head_bits"] == 4


def test_bits_are_given_until_the_divergence_is_met(checkpoint: Callable[..., Artifact], tmp_path: Path):
    source = checkpoint()
    sizes, wide = [], []
    for limit in (1.0, 0.02, 0.005, 1e-9):
        table = Quantize(max_divergence=limit)
        made = quantize(table, source, tmp_path / "model", seed=1, calibration=TEXTS)
        file = open_pocket(made.path / MODEL_FILE)
        sizes.append(made.summary["bytes"])
        wide.append({name for name, tensor in file.tensors.items() if tensor.format.bits == 8})
        assert made.summary["divergence"] <= limit or limit == 1e-9
    assert sizes == sorted(set(sizes))
    assert all(fewer < more for fewer, more in itertools.pairwise(wide))
    assert not wide[0]
    assert len(wide[-1]) == 10, "every matrix of two layers, the embedding and the head"


def test_stated_bits_are_kept_whatever_is_measured(checkpoint: Callable[..., Artifact], tmp_path: Path):
    for bits in (4, 8):
        table = Quantize(embedding_bits=bits, max_divergence=1e-9)
        made = quantize(table, checkpoint(), tmp_path / "model", seed=1, calibration=TEXTS)
        assert made.summary["embedding_bits"] == made.summary["head_bits"] == bits
        assert open_pocket(made.path / MODEL_FILE).tensors["model.layers.0.mlp.down_proj.weight"].format.bits == 8


def test_lopsided_matrices_get_a_minimum(checkpoint: Callable[..., Artifact], tmp_path: Path):
    def shift(model: Decoder) -> None:
        for layer in model.model.layers:
            layer.mlp.down_proj.weight.abs_()

    made = quantize(Quantize(), checkpoint(change=shift), tmp_path / "model", seed=1)
    for name, tensor in open_pocket(made.path / MODEL_FILE).tensors.items():
        if tensor.format.is_quantized:
            assert tensor.format is (WeightFormat.Q4M if "down_proj" in name else WeightFormat.Q4), name


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Callable[..., Artifact], tmp_path: Path):
    source = checkpoint()
    one, two = (quantize(Quantize(), source, tmp_path / name, seed=1, calibration=TEXTS) for name in ("a", "b"))
    assert one.content == two.content
    assert one.inputs == two.inputs
    assert quantize(Quantize(group=32), source, tmp_path / "c", seed=1).inputs != one.inputs


def test_any_model_folder_will_do(checkpoint: Callable[..., Artifact], tmp_path: Path):
    source = checkpoint()
    folder = tmp_path / "folder"
    shutil.copytree(source.path, folder)
    (folder / "manifest.json").unlink()
    made = quantize(Quantize(), folder, tmp_path / "model", seed=1)
    assert open_pocket(made.path / MODEL_FILE).lineage["sha256"].keys() == {"model.safetensors"}
    assert not made.manifest["parents"]


def test_a_damaged_checkpoint_leaves_nothing(checkpoint: Callable[..., Artifact], tmp_path: Path):
    def poison(model: Decoder) -> None:
        model.model.layers[1].self_attn.o_proj.weight[3, 3] = float("nan")

    with pytest.raises(UserError, match=r"o_proj.weight` holds a number that is not finite"):
        quantize(Quantize(), checkpoint(change=poison), tmp_path / "model", seed=1)
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("model.*"))
    with pytest.raises(UserError, match="takes 256"):
        quantize(Quantize(), checkpoint(name="sft"), tmp_path / "model", seed=1, calibration=["too short"])


def test_measuring_leaves_the_model_as_it_was(checkpoint: Callable[..., Artifact], tokenizer: Artifact):
    model = load_checkpoint(checkpoint().path)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    tokens = calibration_tokens(TEXTS, load_tokenizer(tokenizer), model.config)
    assert tokens.shape == (8, 256)
    divergence = Divergence(model, tokens)
    found = divergence.of(lambda _, weights: weights * 0.9, ["lm_head.weight"])
    assert divergence.of(lambda _, weights: weights, before) == 0.0
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name])
    # The same by hand, for the head: its logits are a tenth smaller.
    with torch.no_grad():
        logits = model.logits(model(tokens)).double()
        log_p, log_q = logits.log_softmax(-1), (0.9 * logits).log_softmax(-1)
        by_hand = float((log_p.exp() * (log_p - log_q)).sum(-1).mean())
    assert found == pytest.approx(by_hand, rel=1e-3)


def test_memory_does_not_grow_with_the_model(checkpoint: Callable[..., Artifact], tmp_path: Path):
    peaks = []
    for layers in (2, 12):
        source = checkpoint(
            tiny_config(vocab_size=320, hidden_size=256, num_attention_heads=16, num_hidden_layers=layers), f"{layers}"
        )
        tracemalloc.start()
        quantize(Quantize(), source, tmp_path / "model", seed=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_torch_is_loaded_only_to_measure():
    code = "import sys, pocketphi.quant.quantize; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
