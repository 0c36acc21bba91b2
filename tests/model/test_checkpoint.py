"""Checkpoints as files: whole or absent, refused when they do not fit, and packed models that can be trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model.shapes import decoder, tokenizer_folder, tokens
from pocketphi.errors import UserError
from pocketphi.formats.huggingface import open_folder
from pocketphi.formats.pocket import PocketFile
from pocketphi.model import Decoder, checkpoint, initialise, load_checkpoint, load_pocket, save_checkpoint
from pocketphi.packing import WeightFormat
from pocketphi.runtime.abi import Positions
from pocketphi.runtime.model import Model
from reference.decoder import plain_weights
from tiny import longrope_config, tiny_config, write_tiny

CONFIGS = {
    "phi3": tiny_config(),
    "phi3 with a window": tiny_config(sliding_window=9),
    "phi3 with LongRoPE": longrope_config(),
    "llama": tiny_config(model_type="llama"),
    "llama, tied": tiny_config(model_type="llama", tie_word_embeddings=True),
}


def same_weights(one: Decoder, other: Decoder) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(weight, again) for weight, again in pairs)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("max_shard_bytes", [checkpoint.MAX_SHARD_BYTES, 100_000])
def test_what_is_saved_is_loaded(name, max_shard_bytes, tmp_path):
    model = decoder(CONFIGS[name])
    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    save_checkpoint(model, tmp_path / "saved", tokenizer_dir=tokenizer, max_shard_bytes=max_shard_bytes)
    loaded = load_checkpoint(tmp_path / "saved")
    assert loaded.config == model.config
    assert same_weights(model, loaded)
    weights = sorted(path.name for path in (tmp_path / "saved").glob("*.safetensors"))
    assert (weights == ["model.safetensors"]) == (max_shard_bytes == checkpoint.MAX_SHARD_BYTES)
    assert all(path.stat().st_size < max_shard_bytes + 10_000 for path in (tmp_path / "saved").glob("*.safetensors"))


def test_a_checkpoint_can_follow_another(tmp_path):
    """The next phase takes its tokenizer from the checkpoint before."""
    model = decoder()
    save_checkpoint(model, tmp_path / "one", tokenizer_dir=tokenizer_folder(tmp_path / "tokenizer"))
    save_checkpoint(model, tmp_path / "two", tokenizer_dir=tmp_path / "one")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_folder_names_the_tokens_that_end_an_answer(tmp_path):
    save_checkpoint(
        decoder(), tmp_path / "saved", tokenizer_dir=tokenizer_folder(tmp_path / "tokenizer"), stop_token_ids=[261]
    )
    folder = open_folder(tmp_path / "saved")
    assert 261 in folder.generation_config["eos_token_id"]
    assert folder.config["pad_token_id"] == folder.generation_config["pad_token_id"]


def test_half_precision_rounds_once(tmp_path):
    model = decoder()
    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    save_checkpoint(model, tmp_path / "half", tokenizer_dir=tokenizer, dtype=torch.bfloat16)
    loaded = load_checkpoint(tmp_path / "half")
    for weight, again in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(weight.bfloat16().float(), again)
    assert open_folder(tmp_path / "half").config["torch_dtype"] == "bfloat16"


def test_a_model_is_never_overwritten(tmp_path):
    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    save_checkpoint(decoder(), tmp_path / "saved", tokenizer_dir=tokenizer)
    with pytest.raises(UserError, match="holds a model already"):
        save_checkpoint(decoder(seed=1), tmp_path / "saved", tokenizer_dir=tokenizer)


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path):
    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    with pytest.raises(UserError, match=r"the tokenizer has \d+ tokens, the model's vocabulary holds 200"):
        save_checkpoint(decoder(vocab_size=200), tmp_path / "saved", tokenizer_dir=tokenizer)
    with pytest.raises(UserError, match="token id 272 is not in the model's vocabulary of 272"):
        save_checkpoint(decoder(), tmp_path / "saved", tokenizer_dir=tokenizer, stop_token_ids=[272])
    assert not (tmp_path / "saved").exists()


def test_a_save_after_one_that_was_cut_leaves_nothing_of_it(tmp_path):
    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    save_checkpoint(decoder(seed=1), tmp_path / "saved", tokenizer_dir=tokenizer)
    (tmp_path / "saved" / "config.json").unlink()
    model = decoder()
    save_checkpoint(model, tmp_path / "saved", tokenizer_dir=tokenizer, max_shard_bytes=100_000)
    assert same_weights(model, load_checkpoint(tmp_path / "saved"))


def test_a_save_that_was_cut_leaves_no_model(tmp_path, monkeypatch):
    """Whatever write fails, the folder has no config.json, so no reader takes it for a model."""
    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    whole = checkpoint.replace_file
    for survived in range(6):
        left = [survived]

        def failing(path: Path, left: list[int] = left):
            left[0] -= 1
            if left[0] < 0:
                raise UserError("the disk is full")
            return whole(path)

        monkeypatch.setattr(checkpoint, "replace_file", failing)
        target = tmp_path / str(survived)
        try:
            save_checkpoint(decoder(), target, tokenizer_dir=tokenizer)
        except UserError:
            with pytest.raises(UserError, match=r"no config\.json"):
                load_checkpoint(target)
        else:
            assert survived == 5  # weights, two files of the tokenizer, generation config, config
            load_checkpoint(target)


def test_a_full_disk_is_an_error_that_says_so(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise checkpoint.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match=r"cannot write .*model.safetensors.*No space left") as error:
        save_checkpoint(decoder(), tmp_path / "saved", tokenizer_dir=tokenizer_folder(tmp_path / "tokenizer"))
    assert error.value.hint == "free some space"
    assert not any((tmp_path / "saved").iterdir())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda config: config.pop("hidden_size"), "hidden_size"),
        (lambda config: config.update(intermediate_size=96), "wrong shape"),
        (lambda config: config.update(num_hidden_layers=3), "missing"),
        (lambda config: config.update(num_hidden_layers=1), "not of this architecture"),
        (lambda config: config.update(model_type="gpt2"), "gpt2"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(change, problem, tmp_path):
    save_checkpoint(decoder(), tmp_path / "saved", tokenizer_dir=tokenizer_folder(tmp_path / "tokenizer"))
    path = tmp_path / "saved" / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=problem):
        load_checkpoint(tmp_path / "saved")


@pytest.mark.parametrize("kind", [WeightFormat.Q4, WeightFormat.Q8M, WeightFormat.BF16])
def test_a_packed_model_becomes_what_its_codes_stand_for(kind, tmp_path):
    file = write_tiny(tmp_path / "tiny.pocket", kind=kind)
    model = load_pocket(file.path)
    expected = plain_weights(file)
    assert model.state_dict().keys() <= expected.keys()
    for name, weight in model.state_dict().items():
        assert np.array_equal(weight.numpy().reshape(-1), expected[name].reshape(-1)), name


TEXT = """A tide pool is a small world that the sea fills and leaves twice a day. Limpets hold on to the rock,
anemones close until the water comes back, and crabs wait under wet weed."""


def test_a_real_packed_model_agrees_with_the_engine(smollm2_file: PocketFile):
    """SmolLM2 dequantised: as near to the engine as its 8-bit activations allow."""
    decoder = load_pocket(smollm2_file.path)
    with Model(smollm2_file, threads=2, context=128) as native, native.engine.session() as session:
        ids = native.tokenizer.encode(TEXT)
        theirs = torch.from_numpy(session.step(ids, logits=Positions.ALL).logits)
    with torch.no_grad():
        ours = decoder.logits(decoder(torch.tensor([ids])))[0]
    mine, native_ones = ours.log_softmax(1), theirs.log_softmax(1)
    divergence = torch.nn.functional.kl_div(native_ones, mine, log_target=True, reduction="batchmean")
    assert float(divergence) < 0.02  # nats a token; 0.006 is usual, a wrong row order or angle gives more than 1
    costs = [-scores[:-1].gather(1, torch.tensor(ids[1:])[:, None]).mean() for scores in (mine, native_ones)]
    assert abs(costs[0] - costs[1]) < 0.02 * costs[0]


def test_a_packed_model_goes_on_learning(tmp_path):
    model = load_pocket(write_tiny(tmp_path / "tiny.pocket").path)
    ids = tokens(4, 33)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    values = []
    for _ in range(5):
        optimizer.zero_grad()
        value = model.loss(model(ids[:, :-1]), ids[:, 1:])
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.8 * values[0]


def test_a_fresh_model_round_trips(tmp_path):
    model = initialise(Decoder(tiny_config()), torch.Generator().manual_seed(0))
    save_checkpoint(model, tmp_path / "saved", tokenizer_dir=tokenizer_folder(tmp_path / "tokenizer"))
    assert same_weights(model, load_checkpoint(tmp_path / "saved"))
