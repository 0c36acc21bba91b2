"""The engine against the published decoders of `transformers`, imported at 16 bits.

Tolerance: the largest difference of a logit, over the largest magnitude of a logit. 2e-3 leaves room for
half precision keys, values and attention weights; a wrong mask, factor or window is 50 times larger.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from parity import published
from pocketphi.formats.pocket import open_pocket
from pocketphi.hub.convert import import_model
from pocketphi.runtime.abi import Positions
from pocketphi.runtime.model import Model

TOLERANCE = 2e-3
BORDER = 40


def random_tokens(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, published.VOCAB_SIZE, count).tolist()


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Callable[..., Model]]:
    """Save a model of `transformers`, import the folder, load it."""
    with ExitStack() as stack:

        def make(oracle: published.PreTrainedModel, dtype: torch.dtype = torch.float16) -> Model:
            folder = published.save(oracle, tmp_path / "folder", dtype)
            file = import_model(folder, tmp_path / "model.pocket", template="chatml")
            return stack.enter_context(Model(open_pocket(file), threads=2))

        yield make


def assert_close(ours: np.ndarray, expected: np.ndarray) -> None:
    worst = np.abs(ours - expected).max() / np.abs(expected).max()
    assert worst <= TOLERANCE, f"off by {worst:.2e} of the largest logit"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 6},
        {"num_key_value_heads": 1},
        {"tie_word_embeddings": True},
        {"rms_norm_eps": 1e-3, "rope_theta": 500.0},
        {"hidden_size": 102, "intermediate_size": 70, "num_attention_heads": 3, "num_key_value_heads": 3},
    ],
)
@pytest.mark.parametrize("family", ["phi3", "llama"])
def test_a_random_model_gives_the_published_logits(imported: Callable[..., Model], family: str, changes: dict):
    oracle = getattr(published, family)(**changes)
    model = imported(oracle)
    for count in (1, 2, 100, 300):
        tokens = random_tokens(count)
        assert_close(model.logits(tokens), published.logits(oracle, tokens))


def test_bfloat16_weights_are_kept_too(imported: Callable[..., Model]):
    oracle = published.phi3()
    for parameter in oracle.parameters():
        parameter.data = parameter.data.bfloat16().float()
    model = imported(oracle, torch.bfloat16)
    tokens = random_tokens(100)
    assert_close(model.logits(tokens), published.logits(oracle, tokens))


@pytest.mark.parametrize("count", [10, BORDER - 1, BORDER, BORDER + 1, 2 * BORDER, 4 * BORDER])
def test_longrope_on_both_sides_of_the_border(imported: Callable[..., Model], count: int):
    oracle = published.longrope_phi3(BORDER)
    model = imported(oracle)
    tokens = random_tokens(count)
    assert_close(model.logits(tokens), published.logits(oracle, tokens))


def test_the_two_tables_of_longrope_are_told_apart(imported: Callable[..., Model]):
    """So the tests above would notice the wrong table."""
    oracle = published.longrope_phi3(BORDER)
    model = imported(oracle)
    tokens = random_tokens(BORDER + 1)
    before, after = model.logits(tokens[:-1]), model.logits(tokens)[:-1]
    assert np.abs(before - after).max() > 20 * TOLERANCE * np.abs(after).max()


def test_generated_across_the_border_is_what_the_published_model_says(imported: Callable[..., Model]):
    oracle = published.longrope_phi3(BORDER)
    session = imported(oracle).engine.session()
    tokens = random_tokens(BORDER - 3)
    last = session.step(tokens).logits
    for _ in range(6):
        assert last is not None
        assert_close(last[0], published.logits(oracle, tokens)[-1])
        tokens.append(int(last[0].argmax()))
        last = session.step(tokens[-1:]).logits


@pytest.mark.parametrize("window", [1, 7, 64, 65, 127])
def test_a_sliding_window_hides_what_the_published_mask_hides(imported: Callable[..., Model], window: int):
    oracle = published.phi3(sliding_window=window)
    model = imported(oracle)
    tokens = random_tokens(3 * window + 20)
    expected = published.logits(oracle, tokens)
    assert_close(model.logits(tokens), expected)
    session = model.engine.session()
    rows = [session.step(tokens[:window], logits=Positions.ALL).logits]
    rows += [session.step([token]).logits for token in tokens[window:]]
    assert_close(np.concatenate(rows), expected)


def test_windows_that_never_close_are_no_window(imported: Callable[..., Model]):
    oracle = published.phi3(sliding_window=262144)
    tokens = random_tokens(200)
    assert_close(imported(oracle).logits(tokens), published.logits(oracle, tokens))


def test_hidden_states_are_the_published_ones(imported: Callable[..., Model]):
    oracle = published.phi3()
    tokens = random_tokens(50)
    with torch.no_grad():
        expected = oracle.model(torch.tensor([tokens])).last_hidden_state[0].numpy()
    assert_close(imported(oracle).hidden(tokens), expected)
