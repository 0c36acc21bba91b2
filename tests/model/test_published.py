"""Our decoder against the published ones: logits, gradients, whole and token by token, in memory and through files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from model.shapes import tokens
from parity.published import llama, longrope_phi3, phi3, save
from pocketphi.model import Decoder, load_checkpoint, save_checkpoint

BORDER = 32
MODELS: dict[str, tuple[Callable[[], PreTrainedModel], int]] = {
    "multi-head": (lambda: phi3(num_key_value_heads=6), 40),
    "grouped queries": (phi3, 40),
    "grouped queries, 400 tokens": (phi3, 400),
    "window, shorter than it": (lambda: phi3(sliding_window=50), 40),
    "window, as long as it": (lambda: phi3(sliding_window=40), 40),
    "window, longer than it": (lambda: phi3(sliding_window=7), 40),
    "LongRoPE, at the border": (lambda: longrope_phi3(BORDER), BORDER),
    "LongRoPE, past the border": (lambda: longrope_phi3(BORDER), BORDER + 1),
    "LongRoPE, far past it": (lambda: longrope_phi3(BORDER), 4 * BORDER),
    "llama": (llama, 40),
    "llama, tied": (lambda: llama(tie_word_embeddings=True), 40),
}


@pytest.fixture(params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[PreTrainedModel, Decoder, Tensor, Path]:
    """A published model, ours with its weights, token ids for both, and the folder between them."""
    make, length = MODELS[request.param]
    published = make()
    folder = save(published, tmp_path / "published", torch.float32)
    return published, load_checkpoint(folder), tokens(2, length), folder


def test_logits_and_gradients_are_the_published_ones(pair):
    published, ours, ids, _ = pair
    targets = tokens(2, ids.shape[1], seed=1)
    hidden = ours(ids)
    expected = published(ids, use_cache=False).logits
    assert (ours.logits(hidden) - expected).abs().max() <= 1e-5

    ours.loss(hidden, targets).backward()
    torch.nn.functional.cross_entropy(expected.flatten(0, 1), targets.flatten()).backward()
    wanted = {name: weight.grad for name, weight in published.named_parameters()}
    for name, weight in ours.named_parameters():
        expected = wanted.get(name)
        if expected is None:  # fused here, split there
            parts = ("q_proj", "k_proj", "v_proj") if "qkv" in name else ("gate_proj", "up_proj")
            fused = "qkv_proj" if "qkv" in name else "gate_up_proj"
            expected = torch.cat([wanted[name.replace(fused, part)] for part in parts])
        assert (weight.grad - expected).norm() <= 1e-5 * expected.norm(), name


WIDE_HEADS = {"hidden_size": 192, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 2}
"""96 features a head, as Phi-3-mini has, where correctly rounded powers differ from torch's in one bit."""


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({"max_position_embeddings": 4096, "sliding_window": 2047}, 2100),
        (
            {
                "max_position_embeddings": 131_072,
                "original_max_position_embeddings": 2048,
                "rope_scaling": {
                    "type": "longrope",
                    "short_factor": [1.0 + 0.04 * pair for pair in range(48)],
                    "long_factor": [1.08 + 1.33 * pair for pair in range(48)],
                },
            },
            2049,
        ),
    ],
    ids=["window", "LongRoPE"],
)
def test_logits_stay_the_published_ones_thousands_of_positions_on(changes, length, tmp_path):
    published = phi3(**WIDE_HEADS, **changes)
    ours = load_checkpoint(save(published, tmp_path / "published", torch.float32))
    ids = tokens(1, length)
    with torch.no_grad():
        difference = ours.logits(ours(ids)) - published(ids, use_cache=False).logits
    assert difference.abs().max() <= 1e-5


def test_decoding_with_a_cache_equals_the_whole_pass(pair):
    published, ours, ids, _ = pair
    length = ids.shape[1]
    with torch.no_grad():
        cache = ours.new_cache(2, length)
        first = ours(ids[:, : length // 2], cache=cache)  # a prompt, a chunk, then one by one
        chunk = ours(ids[:, length // 2 : length - 4], cache=cache)
        steps = [ours(ids[:, place : place + 1], cache=cache) for place in range(length - 4, length)]
        found = ours.logits(torch.cat([first, chunk, *steps], dim=1))
        for end in (length // 2, length - 4, *range(length - 3, length + 1)):
            # Each step's last logits are those of the whole pass over what was read until then.
            expected = published(ids[:, :end], use_cache=False).logits[:, -1]
            assert (found[:, end - 1] - expected).abs().max() <= 1e-5


def test_a_folder_of_ours_loads_there_with_equal_logits_and_back(pair, tmp_path):
    published, ours, ids, folder = pair
    save_checkpoint(ours, tmp_path / "ours", tokenizer_dir=folder)
    there, loading = type(published).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(loading.values()), loading
    with torch.no_grad():
        assert torch.equal(there(ids, use_cache=False).logits, published(ids, use_cache=False).logits)
    there.save_pretrained(tmp_path / "back")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "back" / name).write_bytes((folder / name).read_bytes())
    back = load_checkpoint(tmp_path / "back")
    assert back.config == ours.config
    for (name, weight), again in zip(ours.state_dict().items(), back.state_dict().values(), strict=True):
        assert torch.equal(weight, again), name


def test_greedy_text_across_the_border_of_longrope_is_the_published_one(tmp_path):
    """The reference drops its cache when a text grows past the border, and reads it again under the long factors."""
    published = longrope_phi3(BORDER)
    ours = load_checkpoint(save(published, tmp_path / "published", torch.float32))
    prompt = tokens(1, BORDER - 5)
    with torch.no_grad():
        expected = published.generate(prompt, max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)[0]
        cache = ours.new_cache(1, BORDER + 8)
        hidden = ours(prompt, cache=cache)
        found = prompt[0].tolist()
        for _ in range(12):
            found.append(int(ours.logits(hidden[0, -1]).argmax()))
            hidden = ours(torch.tensor([found[-1:]]), cache=cache)
    assert found == expected.tolist()


def test_positions_that_start_again_are_documents_of_their_own(tmp_path):
    """What stands before a new start is not seen."""
    published = phi3()
    ours = load_checkpoint(save(published, tmp_path / "published", torch.float32))
    ids = tokens(2, 24)
    positions = torch.tensor([[*range(9), *range(15)], [*range(24)]])
    with torch.no_grad():
        found = ours.logits(ours(ids, positions))
        pieces = [published(piece, use_cache=False).logits[0] for piece in (ids[:1, :9], ids[:1, 9:], ids[1:])]
    assert (found[0] - torch.cat(pieces[:2])).abs().max() <= 1e-5
    assert (found[1] - pieces[2]).abs().max() <= 1e-5
