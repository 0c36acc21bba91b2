"""The decoder's config: reads what is published, agrees with the reference, refuses what it does not understand."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from pocketphi.architecture import DecoderConfig, RopeConfig, expected_tensors, inverse_frequencies
from pocketphi.errors import UserError

FACTORS = {"short_factor": [1.0 + 0.01 * i for i in range(48)], "long_factor": [1.0 + i for i in range(48)]}
LONGROPE = {"type": "longrope", **FACTORS}


def phi3(**changes: Any) -> dict[str, Any]:
    """The fields of phi-3-mini-4k's config.json."""
    fields = {
        "_name_or_path": "Phi-3-mini-4k-instruct",
        "architectures": ["Phi3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_phi3.Phi3Config",
            "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
        },
        "bos_token_id": 1,
        "embd_pdrop": 0.0,
        "eos_token_id": 32000,
        "hidden_act": "silu",
        "hidden_size": 3072,
        "initializer_range": 0.02,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "model_type": "phi3",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096,
        "pad_token_id": 32000,
        "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "sliding_window": 2047,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.40.2",
        "use_cache": True,
        "vocab_size": 32064,
    }
    return {**fields, **changes}


def long_phi3(**changes: Any) -> dict[str, Any]:
    return phi3(max_position_embeddings=131072, rope_scaling=LONGROPE, sliding_window=262144, **changes)


def test_the_published_phi3_config_reads():
    config = DecoderConfig.from_published(phi3())
    assert (config.head_dim, config.sliding_window, config.rms_norm_eps) == (96, 2047, 1e-5)
    assert config.rope == RopeConfig(head_dim=96)
    assert config.rope.attention_factor == 1.0


def test_the_published_smollm2_config_reads():
    config = DecoderConfig.from_published(
        {
            "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 1,
            "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.041666666666666664,
            "intermediate_size": 1536, "is_llama_config": True, "max_position_embeddings": 8192, "mlp_bias": False,
            "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
            "pad_token_id": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_interleaved": False,
            "rope_scaling": None, "rope_theta": 100000, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
            "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}, "transformers_version": "4.42.3",
            "use_cache": True, "vocab_size": 49152,
        }
    )  # fmt: skip
    assert (config.head_dim, config.rope.rope_theta, config.tie_word_embeddings) == (64, 100_000, True)
    assert sum(rows * cols for rows, cols in expected_tensors(config).values()) == 134_515_008


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({}, 3_821_079_552),
        ({"hidden_size": 5120, "intermediate_size": 17920, "num_attention_heads": 40, "num_hidden_layers": 40,
          "num_key_value_heads": 10}, 13_960_238_080),
    ],
)  # fmt: skip
def test_parameter_counts_are_the_published_ones(changes, parameters):
    config = DecoderConfig.from_published(phi3(**changes))
    assert sum(rows * cols for rows, cols in expected_tensors(config).values()) == parameters


@pytest.mark.parametrize(
    "published", [phi3(), long_phi3(), Phi3Config().to_dict(), LlamaConfig().to_dict(), phi3(tie_word_embeddings=True)]
)
def test_a_config_survives_the_published_form(published):
    config = DecoderConfig.from_published(published)
    assert DecoderConfig.from_published(json.loads(json.dumps(config.to_published()))) == config


@pytest.mark.parametrize("spelling", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("kind", [{"type": "su"}, {"type": "yarn"}, {"rope_type": "longrope"}])
def test_every_spelling_of_longrope_means_the_same(spelling, kind):
    fields = long_phi3()
    del fields["rope_scaling"]
    assert DecoderConfig.from_published({**fields, spelling: {**FACTORS, **kind}}) == DecoderConfig.from_published(
        long_phi3()
    )


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("scaling", [LONGROPE, {**LONGROPE, "attention_factor": 1.25}, {**LONGROPE, "factor": 16.0}])
def test_rope_agrees_with_the_reference(scaling, long):
    fields = {**long_phi3(), "rope_scaling": scaling}
    reference = Phi3Config(**{k: v for k, v in fields.items() if k not in ("auto_map", "model_type")})
    expected, factor = ROPE_INIT_FUNCTIONS["longrope"](reference, "cpu", seq_len=5000 if long else 10)
    rope = DecoderConfig.from_published(fields).rope
    tables = inverse_frequencies(rope)
    assert rope.attention_factor == pytest.approx(factor, rel=1e-15)
    assert np.allclose(np.array(tables[long], np.float32), expected.numpy(), rtol=2e-7, atol=0)


@pytest.mark.parametrize(
    ("original", "longest", "factor"), [(4096, 131072, 1.1902380714238083), (8192, 131072, math.sqrt(17 / 13))]
)
def test_the_attention_factor_has_its_published_values(original, longest, factor):
    rope = RopeConfig(
        head_dim=4, max_position_embeddings=longest, original_max_position_embeddings=original,
        short_factor=(1.0, 1.0), long_factor=(1.0, 2.0),
    )  # fmt: skip
    assert rope.attention_factor == pytest.approx(factor, rel=1e-15)


def test_plain_frequencies_are_those_of_the_formula():
    short, long = inverse_frequencies(RopeConfig(head_dim=64, rope_theta=100_000.0))
    assert long is None
    assert np.allclose(short, [100_000.0 ** (-2 * i / 64) for i in range(32)], rtol=2e-7, atol=0)


def test_expected_tensors_are_those_of_the_reference():
    torch = pytest.importorskip("torch")
    from transformers import Phi3ForCausalLM

    published = Phi3Config(
        vocab_size=48, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, pad_token_id=0,
    )  # fmt: skip
    with torch.device("meta"):
        model = Phi3ForCausalLM(published)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    shapes = {name: shape if len(shape) == 2 else (1, *shape) for name, shape in shapes.items()}
    assert expected_tensors(DecoderConfig.from_published(published.to_dict())) == shapes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "architecture `gpt2` is not supported"),
        ({"model_type": None}, "architecture `None` is not supported"),
        ({"architectures": ["PhiMoEForCausalLM"]}, "PhiMoEForCausalLM.* is not supported"),
        ({"num_attention_heads": 0}, "`num_attention_heads` is 0, allowed are 1 to"),
        ({"num_attention_heads": 31}, "`num_attention_heads` 31 does not divide `hidden_size` 3072"),
        ({"num_key_value_heads": 5}, "`num_key_value_heads` 5 does not divide"),
        ({"num_hidden_layers": 10**9}, "`num_hidden_layers` is 1000000000, allowed are 1 to 256"),
        ({"num_hidden_layers": True}, "`num_hidden_layers` is `True`, not a whole number"),
        ({"num_hidden_layers": "32"}, "`num_hidden_layers` is `32`, not a whole number"),
        ({"num_hidden_layers": None}, "`num_hidden_layers` is missing"),
        ({"max_position_embeddings": 2**31}, "`max_position_embeddings` is 2147483648, allowed are 1 to 131072"),
        ({"vocab_size": 10**9}, "`vocab_size` is 1000000000"),
        ({"vocab_size": 1}, "`vocab_size` is 1, allowed are 2"),
        ({"hidden_size": -5}, "`hidden_size` is -5"),
        ({"hidden_size": 2**64}, "`hidden_size` is 18446744073709551616"),
        ({"intermediate_size": 1.5}, "`intermediate_size` is `1.5`, not a whole number"),
        ({"head_dim": 97}, "`head_dim` is 97: rotary pairs need an even number"),
        ({"rope_theta": 0}, "`rope_theta` is `0`"),
        ({"rope_theta": math.nan}, "`rope_theta` is `nan`"),
        ({"rope_theta": [1]}, "`rope_theta`"),
        ({"rms_norm_eps": -1e-5}, "`rms_norm_eps` is `-1e-05`"),
        ({"rms_norm_eps": math.inf}, "`rms_norm_eps` is `inf`"),
        ({"tie_word_embeddings": "no"}, "`tie_word_embeddings` is `no`, not true or false"),
        ({"sliding_window": 0}, "`sliding_window` is 0"),
        ({"attention_bias": True}, "`attention_bias` is `True`"),
        ({"mlp_bias": True}, "`mlp_bias` is `True`"),
        ({"hidden_act": "gelu"}, "`hidden_act` is `gelu`: only `silu`"),
        ({"partial_rotary_factor": 0.75}, "`partial_rotary_factor` is `0.75`"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope type `linear` is not supported"),
        ({"rope_scaling": {"type": ["longrope"]}}, "rope type"),
        ({"rope_scaling": [1]}, "`rope_scaling` is"),
        ({"rope_scaling": {**LONGROPE, "short_mscale": 1.2}}, "unknown key `short_mscale`"),
        ({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, "`long_factor` is `None`, not a list"),
        ({"rope_scaling": {**LONGROPE, "long_factor": [1.0]}}, "`long_factor` has 1 entries, head_dim 96 needs 48"),
        ({"rope_scaling": {**LONGROPE, "long_factor": [0.0] * 48}}, r"`long_factor\[0\]` is `0.0`"),
        ({"rope_scaling": {**LONGROPE, "long_factor": ["1"] * 48}}, r"`long_factor\[0\]` is `1`"),
        ({"auto_map": {"AutoConfig": "evil.Config"}}, "`auto_map` is .*: the model brings code of its own"),
        ({"auto_map": "evil"}, "`auto_map`"),
        ({"_attn_implementation_internal": "evil"}, "unknown config key `_attn_implementation_internal`"),
        ({"quantization_config": {}}, "unknown config key `quantization_config`"),
        ({"logit_scale": 0.5}, "unknown config key `logit_scale`"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_with_its_value(changes, message):
    with pytest.raises(UserError, match=message):
        DecoderConfig.from_published(phi3(**changes))


def test_a_llama_config_with_a_window_is_refused():
    with pytest.raises(UserError, match="`sliding_window` is `512`: the published Llama decoder has none"):
        DecoderConfig.from_published({**LlamaConfig().to_dict(), "sliding_window": 512})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(field=st.sampled_from(sorted(long_phi3())), value=JSON)
def test_any_value_in_any_field_gives_a_config_or_a_user_error(field, value):
    try:
        config = DecoderConfig.from_published({**long_phi3(), field: value})
    except UserError:
        return
    inverse_frequencies(config.rope)
    assert DecoderConfig.from_published(config.to_published()) == config


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(["rope_theta", "original_max_position_embeddings", "type", "rope_type", "short_factor",
                              "long_factor", "attention_factor", "factor"]), value=JSON)  # fmt: skip
def test_any_value_in_any_rope_field_gives_a_config_or_a_user_error(field, value):
    try:
        config = DecoderConfig.from_published({**long_phi3(), "rope_scaling": {**LONGROPE, field: value}})
    except UserError:
        return
    inverse_frequencies(config.rope)
    assert DecoderConfig.from_published(config.to_published()) == config
