"""The engine against the NumPy decoder that follows its arithmetic: every bit of every logit."""

from collections.abc import Callable

import numpy as np
import pytest

from pocketphi.architecture import DecoderConfig
from pocketphi.packing import WeightFormat
from pocketphi.runtime.model import Model
from reference.decoder import Reference, plain_weights
from reference.exact import ExactDecoder
from tiny import longrope_config, tiny_config

FORMATS = [
    (WeightFormat.Q4, 32),
    (WeightFormat.Q4, 64),
    (WeightFormat.Q4M, 32),
    (WeightFormat.Q4M, 128),
    (WeightFormat.Q8, 16),
    (WeightFormat.Q8, 128),
    (WeightFormat.Q8M, 64),
    (WeightFormat.F16, 0),
    (WeightFormat.BF16, 0),
]

SHAPES = {
    "odd sizes": tiny_config(hidden_size=40, intermediate_size=56, head_dim=10, vocab_size=275),
    "as many kv heads": tiny_config(num_key_value_heads=4),
    "one kv head": tiny_config(num_attention_heads=6, num_key_value_heads=1, head_dim=24),
    "tied": tiny_config(tie_word_embeddings=True),
    "llama": tiny_config(model_type="llama", rms_norm_eps=1e-6, rope_theta=100_000.0),
    "window": tiny_config(sliding_window=48),
    "longrope": longrope_config(border=64),
    "longrope and window": longrope_config(border=40, sliding_window=30),
}


def random_tokens(config: DecoderConfig, count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, config.vocab_size, count).tolist()


@pytest.mark.parametrize(("kind", "group"), FORMATS)
def test_every_format_equals_its_definition(open_tiny: Callable[..., Model], kind: WeightFormat, group: int):
    model = open_tiny(kind=kind, group=group)
    tokens = random_tokens(model.config, 70)
    expected = ExactDecoder(model.config, model.file.tensors)
    np.testing.assert_array_equal(model.hidden(tokens), expected.hidden(tokens))
    np.testing.assert_array_equal(model.logits(tokens), expected.logits(tokens))


@pytest.mark.parametrize(("kind", "group"), [(WeightFormat.Q4M, 32), (WeightFormat.Q8, 128), (WeightFormat.BF16, 0)])
@pytest.mark.parametrize("name", ["odd sizes", "tied"])
def test_activations_of_16_bits_equal_their_definition(
    open_tiny: Callable[..., Model], name: str, kind: WeightFormat, group: int
):
    model = open_tiny(SHAPES[name], kind=kind, group=group, load={"activation_bits": 16})
    expected = ExactDecoder(model.config, model.file.tensors, planes=2)
    for count in (1, 8, 9, 70):
        tokens = random_tokens(model.config, count)
        np.testing.assert_array_equal(model.hidden(tokens), expected.hidden(tokens))
        np.testing.assert_array_equal(model.logits(tokens), expected.logits(tokens))


def test_activations_of_16_bits_are_near_single_precision(open_tiny: Callable[..., Model]):
    plain, fine = (open_tiny(kind=WeightFormat.Q4M, group=32, load={"activation_bits": bits}) for bits in (8, 16))
    tokens = random_tokens(plain.config, 70)
    expected = Reference(plain.config, plain_weights(plain.file)).logits(tokens)
    coarse_error, fine_error = (np.abs(model.logits(tokens) - expected).max() for model in (plain, fine))
    assert fine_error < coarse_error / 10


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_equals_its_definition(open_tiny: Callable[..., Model], name: str):
    model = open_tiny(SHAPES[name], kind=WeightFormat.Q4M, group=32)
    for count in (1, 63, 64, 65, 100):
        tokens = random_tokens(model.config, count)
        np.testing.assert_array_equal(
            model.logits(tokens), ExactDecoder(model.config, model.file.tensors).logits(tokens)
        )


def test_long_sequences_cross_segments(open_tiny: Callable[..., Model]):
    model = open_tiny()
    tokens = random_tokens(model.config, 330)
    np.testing.assert_array_equal(model.logits(tokens), ExactDecoder(model.config, model.file.tensors).logits(tokens))


@pytest.mark.parametrize("name", SHAPES)
def test_float_activations_follow_the_mathematics(open_tiny: Callable[..., Model], name: str):
    """16-bit weights: what remains is single precision, and half precision keys and values."""
    model = open_tiny(SHAPES[name], kind=WeightFormat.F16, group=0)
    tokens = random_tokens(model.config, 100)
    expected = Reference(model.config, plain_weights(model.file)).logits(tokens)
    assert np.abs(model.logits(tokens) - expected).max() <= 2e-3 * np.abs(expected).max()
