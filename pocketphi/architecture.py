"""What a decoder is made of: the published config fields, checked, without torch or NumPy.

One `DecoderConfig` describes every model that pocketphi runs: Phi-3 shaped ones and Llama shaped
ones, which are the same decoder once their projections are fused. Field names are the published
ones, so a `config.json` of either family reads straight in (`DecoderConfig.from_published`) and a
config of ours is one that `transformers` understands (`to_published`).

A config is data from a stranger. Every number is checked against the limits below before anything
is sized by it, and a key that could change the arithmetic but is not understood is an error, never
ignored. No field ever names code that is run.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pocketphi.errors import UserError, shown

MAX_LAYERS = 256
MAX_HEADS = 1024
MAX_HEAD_DIM = 512
MAX_WIDTH = 65_536
"""Largest hidden size."""
MAX_INTERMEDIATE = 262_144
MAX_VOCABULARY = 262_144
MAX_CONTEXT = 131_072
MAX_WINDOW = 2**31 - 1

ARCHITECTURES = {"llama": "LlamaForCausalLM", "phi3": "Phi3ForCausalLM"}
"""Model type to the published class name."""

# Published keys that say nothing about inference: training settings, bookkeeping, and ids that are
# read with the tokenizer.
_IGNORED = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _name_or_path attention_dropout bos_token_id
    chunk_size_feed_forward do_sample dtype embd_pdrop embedding_dropout eos_token_id
    id2label initializer_range is_decoder is_encoder_decoder is_llama_config label2id layer_norm_eps
    output_attentions output_hidden_states pad_token_id pretraining_tp problem_type
    resid_pdrop return_dict sep_token_id temperature tie_encoder_decoder torch_dtype torchscript transformers.js_config
    transformers_version unk_token_id unsloth_fixed unsloth_version use_bfloat16 use_cache
    """.split()  # noqa: SIM905
)
_UNDERSTOOD = frozenset(
    """
    architectures attention_bias auto_map head_dim hidden_act hidden_size intermediate_size max_position_embeddings
    mlp_bias model_type num_attention_heads num_hidden_layers num_key_value_heads original_max_position_embeddings
    partial_rotary_factor rms_norm_eps rope_interleaved rope_parameters rope_scaling rope_theta sliding_window
    tie_word_embeddings vocab_size
    """.split()  # noqa: SIM905
)
# Microsoft's own checkpoints carry these pointers to code of theirs that this decoder replaces. They are
# compared, never followed; any other pointer means a model that is not what its type says.
_REPLACED_CODE = {
    "AutoConfig": "configuration_phi3.Phi3Config",
    "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
}
_ROPE_KEYS = frozenset(
    """
    attention_factor factor long_factor original_max_position_embeddings partial_rotary_factor rope_theta rope_type
    short_factor type
    """.split()  # noqa: SIM905
)
_LONGROPE_NAMES = ("longrope", "su", "yarn")  # for phi3 the reference reads the older two as LongRoPE


@dataclass(frozen=True, kw_only=True)
class RopeConfig:
    """How positions become rotations, plain or LongRoPE. Field names follow the published config."""

    head_dim: int
    rope_theta: float = 10_000.0
    max_position_embeddings: int = 4096
    original_max_position_embeddings: int = 4096
    """The length the model was first trained for: sequences up to it use `short_factor`."""
    short_factor: tuple[float, ...] | None = None
    long_factor: tuple[float, ...] | None = None
    """One stretch per feature pair; both lists or neither."""
    stated_attention_factor: float | None = None
    """An `attention_factor` that the file states, instead of the formula's."""

    def __post_init__(self) -> None:
        _check_range("head_dim", self.head_dim, 2, MAX_HEAD_DIM)
        if self.head_dim % 2:
            raise UserError(f"`head_dim` is {self.head_dim}: rotary pairs need an even number")
        _check_range("max_position_embeddings", self.max_position_embeddings, 1, MAX_CONTEXT)
        _check_range("original_max_position_embeddings", self.original_max_position_embeddings, 1, MAX_CONTEXT)
        _check_between("rope_theta", self.rope_theta, 1.0, 1e12)
        if (self.short_factor is None) != (self.long_factor is None):
            missing = "short_factor" if self.short_factor is None else "long_factor"
            raise UserError(f"`{missing}` is missing: LongRoPE needs both factor lists")
        for name, factors in (("short_factor", self.short_factor), ("long_factor", self.long_factor)):
            if factors is None:
                continue
            if len(factors) != self.head_dim // 2:
                raise UserError(
                    f"`{name}` has {len(factors)} entries, head_dim {self.head_dim} needs {self.head_dim // 2}",
                    hint="give one factor per feature pair, or drop it for plain RoPE",
                )
            for index, factor in enumerate(factors):
                _check_between(f"{name}[{index}]", factor, 1e-3, 1e6)
        if self.is_long and self.original_max_position_embeddings < 2:
            raise UserError("`original_max_position_embeddings` is 1: LongRoPE needs at least 2")
        if self.stated_attention_factor is not None:
            _check_between("attention_factor", self.stated_attention_factor, 1e-3, 1e3)

    @property
    def is_long(self) -> bool:
        """Whether this is LongRoPE."""
        return self.long_factor is not None

    @property
    def attention_factor(self) -> float:
        """What cosine and sine are multiplied by, at every length: sqrt(1 + ln s / ln original), s the stretch."""
        if self.stated_attention_factor is not None:
            return self.stated_attention_factor
        stretch = self.max_position_embeddings / self.original_max_position_embeddings
        if not self.is_long or stretch <= 1.0:
            return 1.0
        return math.sqrt(1 + math.log(stretch) / math.log(self.original_max_position_embeddings))


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The shape of a decoder. Lengths and the head width live in `rope` and read through from here."""

    model_type: str
    """`phi3` or `llama`: which family's published config this is. The arithmetic is the same."""
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    rope: RopeConfig
    rms_norm_eps: float = 1e-5
    tie_word_embeddings: bool = False
    sliding_window: int | None = None
    """How many keys a query sees, itself included; None for all."""

    def __post_init__(self) -> None:
        if self.model_type not in ARCHITECTURES:
            raise _unknown_architecture(self.model_type)
        _check_range("vocab_size", self.vocab_size, 2, MAX_VOCABULARY)
        _check_range("hidden_size", self.hidden_size, 2, MAX_WIDTH)
        _check_range("intermediate_size", self.intermediate_size, 1, MAX_INTERMEDIATE)
        _check_range("num_hidden_layers", self.num_hidden_layers, 1, MAX_LAYERS)
        _check_range("num_attention_heads", self.num_attention_heads, 1, MAX_HEADS)
        _check_range("num_key_value_heads", self.num_key_value_heads, 1, MAX_HEADS)
        if self.num_attention_heads % self.num_key_value_heads:
            raise UserError(
                f"`num_key_value_heads` {self.num_key_value_heads} does not divide "
                f"`num_attention_heads` {self.num_attention_heads}"
            )
        _check_range("num_attention_heads * head_dim", self.num_attention_heads * self.head_dim, 1, MAX_WIDTH)
        _check_between("rms_norm_eps", self.rms_norm_eps, 1e-12, 1.0)
        if self.sliding_window is not None:
            _check_range("sliding_window", self.sliding_window, 1, MAX_WINDOW)
        if not isinstance(self.tie_word_embeddings, bool):
            raise UserError(f"`tie_word_embeddings` is `{self.tie_word_embeddings}`, not true or false")

    @property
    def head_dim(self) -> int:
        return self.rope.head_dim

    @property
    def max_position_embeddings(self) -> int:
        return self.rope.max_position_embeddings

    @property
    def original_max_position_embeddings(self) -> int:
        return self.rope.original_max_position_embeddings

    @classmethod
    def from_published(cls, published: Mapping[str, Any]) -> "DecoderConfig":
        """Read the fields of a `config.json`.

        Raises:
            UserError: a field is missing, of the wrong type, out of its limits, or asks for arithmetic
                that this decoder does not have; the message names the field and its value.
        """
        model_type = published.get("model_type")
        if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
            raise _unknown_architecture(model_type)
        _refuse_foreign_features(published, model_type)
        hidden_size: Any = published.get("hidden_size")
        heads: Any = published.get("num_attention_heads")
        _check_range("hidden_size", hidden_size, 2, MAX_WIDTH)
        _check_range("num_attention_heads", heads, 1, MAX_HEADS)
        head_dim = published.get("head_dim")
        if head_dim is None:
            if hidden_size % heads:
                raise UserError(f"`num_attention_heads` {heads} does not divide `hidden_size` {hidden_size}")
            head_dim = hidden_size // heads
        return cls(
            model_type=model_type,
            vocab_size=_given(published, "vocab_size"),
            hidden_size=hidden_size,
            intermediate_size=_given(published, "intermediate_size"),
            num_hidden_layers=_given(published, "num_hidden_layers"),
            num_attention_heads=heads,
            num_key_value_heads=_given(published, "num_key_value_heads", heads),
            rope=_read_rope(published, model_type, head_dim),
            rms_norm_eps=_given(published, "rms_norm_eps", 1e-5 if model_type == "phi3" else 1e-6),
            tie_word_embeddings=_given(published, "tie_word_embeddings", False),
            sliding_window=_given(published, "sliding_window"),
        )

    def to_published(self) -> dict[str, Any]:
        """The fields as a `config.json` holds them; `from_published` reads them back to an equal config."""
        rope = self.rope
        published: dict[str, Any] = {
            "architectures": [ARCHITECTURES[self.model_type]],
            "model_type": self.model_type,
            "attention_bias": False,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": rope.max_position_embeddings,
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "original_max_position_embeddings": rope.original_max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_scaling": None,
            "rope_theta": rope.rope_theta,
            "sliding_window": self.sliding_window,
            "tie_word_embeddings": self.tie_word_embeddings,
            "vocab_size": self.vocab_size,
        }
        if rope.short_factor is not None and rope.long_factor is not None:
            published["rope_scaling"] = {
                "type": "longrope",
                "short_factor": list(rope.short_factor),
                "long_factor": list(rope.long_factor),
            }
            if rope.stated_attention_factor is not None:
                published["rope_scaling"]["attention_factor"] = rope.stated_attention_factor
        return published


def expected_tensors(config: DecoderConfig) -> dict[str, tuple[int, int]]:
    """Every weight of the decoder, by published (fused) name, as (rows, columns); a vector has one row."""
    hidden, heads, groups = config.hidden_size, config.num_attention_heads, config.num_key_value_heads
    tensors = {"model.embed_tokens.weight": (config.vocab_size, hidden)}
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        tensors[f"{prefix}.input_layernorm.weight"] = (1, hidden)
        tensors[f"{prefix}.self_attn.qkv_proj.weight"] = ((heads + 2 * groups) * config.head_dim, hidden)
        tensors[f"{prefix}.self_attn.o_proj.weight"] = (hidden, heads * config.head_dim)
        tensors[f"{prefix}.post_attention_layernorm.weight"] = (1, hidden)
        tensors[f"{prefix}.mlp.gate_up_proj.weight"] = (2 * config.intermediate_size, hidden)
        tensors[f"{prefix}.mlp.down_proj.weight"] = (hidden, config.intermediate_size)
    tensors["model.norm.weight"] = (1, hidden)
    if not config.tie_word_embeddings:
        tensors["lm_head.weight"] = (config.vocab_size, hidden)
    return tensors


def inverse_frequencies(rope: RopeConfig) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Radians per position of every feature pair: the short table, and the long one of LongRoPE.

    `1 / (factor * theta**(2i/E))`, each operation rounded to single precision as the reference does it. The
    power is rounded correctly here; a vector library may differ from it in the last bit.

    Returns:
        Two tables of E/2 single-precision numbers; the second is None for plain RoPE.
    """
    powers = [_single(rope.rope_theta ** _single(index / rope.head_dim)) for index in range(0, rope.head_dim, 2)]

    def table(factors: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(
            _single(1.0 / _single(_single(factor) * power)) for factor, power in zip(factors, powers, strict=True)
        )

    short = table(rope.short_factor or (1.0,) * len(powers))
    return short, None if rope.long_factor is None else table(rope.long_factor)


def _read_rope(published: Mapping[str, Any], model_type: str, head_dim: int) -> RopeConfig:
    length = published.get("max_position_embeddings")
    _check_range("max_position_embeddings", length, 1, MAX_CONTEXT)
    scaling = published.get("rope_parameters") or published.get("rope_scaling") or {}
    if not isinstance(scaling, Mapping):
        raise UserError(f"`rope_scaling` is `{shown(scaling)}`, not an object")
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    is_long = kind == "longrope" or (model_type == "phi3" and kind in _LONGROPE_NAMES)
    if not is_long and kind != "default":
        raise UserError(
            f"rope type `{shown(kind)}` is not supported", hint="pocketphi runs plain RoPE and LongRoPE (`longrope`)"
        )
    unknown = sorted(set(map(str, scaling)) - _ROPE_KEYS)
    if unknown:
        raise UserError(f"unknown key `{shown(unknown[0])}` in `rope_scaling` of type `{shown(kind)}`")
    # Where no file says it, the published Phi-3 class fills in 4096, the Llama class the full length.
    original = _given(scaling, "original_max_position_embeddings", 4096 if model_type == "phi3" else length)
    original = _given(published, "original_max_position_embeddings", original)
    rope: dict[str, Any] = {
        "head_dim": head_dim,
        "rope_theta": _given(scaling, "rope_theta", _given(published, "rope_theta", 10_000.0)),
        "max_position_embeddings": length,
        "original_max_position_embeddings": original,
    }
    if not is_long:
        return RopeConfig(**rope)
    stated, factor = scaling.get("attention_factor"), scaling.get("factor")
    if stated is None and factor is not None:
        # A stated stretch replaces the ratio of the two lengths in the formula.
        _check_between("factor", factor, 1.0, 1e6)
        _check_range("original_max_position_embeddings", original, 2, MAX_CONTEXT)
        stated = math.sqrt(1 + math.log(factor) / math.log(original))
    return RopeConfig(
        **rope,
        short_factor=_factors(scaling, "short_factor"),
        long_factor=_factors(scaling, "long_factor"),
        stated_attention_factor=stated,
    )


def _factors(scaling: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = scaling.get(name)
    if not isinstance(values, list | tuple):
        raise UserError(f"`{name}` is `{shown(values)}`, not a list of numbers")
    return tuple(values)


def _refuse_foreign_features(published: Mapping[str, Any], model_type: str) -> None:
    """Raise if the config asks for anything that this decoder would silently leave out."""
    architectures = published.get("architectures")
    if architectures is not None and architectures != [ARCHITECTURES[model_type]]:
        raise _unknown_architecture(architectures)
    for name in ("attention_bias", "mlp_bias", "rope_interleaved"):
        if published.get(name) not in (None, False):
            raise UserError(f"`{name}` is `{shown(published[name])}`: only models without it are supported")
    if published.get("hidden_act", "silu") not in ("silu", "swish"):
        raise UserError(f"`hidden_act` is `{shown(published['hidden_act'])}`: only `silu` is supported")
    scaling = published.get("rope_parameters") or published.get("rope_scaling") or {}
    for holder in (published, scaling if isinstance(scaling, Mapping) else {}):
        if holder.get("partial_rotary_factor") not in (None, 1, 1.0):
            raise UserError(
                f"`partial_rotary_factor` is `{shown(holder['partial_rotary_factor'])}`: only 1 is supported"
            )
    if model_type == "llama" and published.get("sliding_window") is not None:
        raise UserError(
            f"`sliding_window` is `{shown(published['sliding_window'])}`: the published Llama decoder has none"
        )
    code = published.get("auto_map") or {}
    if not isinstance(code, Mapping) or any(_REPLACED_CODE.get(key) != value for key, value in code.items()):
        raise UserError(
            f"`auto_map` is `{shown(code)}`: the model brings code of its own, which is never run",
            hint="pocketphi runs models whose published class is " + " or ".join(ARCHITECTURES.values()),
        )
    unknown = sorted(set(map(str, published)) - _UNDERSTOOD - _IGNORED)
    if unknown:
        raise UserError(
            f"unknown config key `{shown(unknown[0])}` (value `{shown(published[unknown[0]])}`)",
            hint="it may change what the model computes; delete it from config.json if you know that it does not",
        )


def _unknown_architecture(found: object) -> UserError:
    return UserError(
        f"architecture `{shown(found)}` is not supported",
        hint="pocketphi runs " + " and ".join(f"{name} (`{kind}`)" for kind, name in ARCHITECTURES.items()),
    )


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if value is None:
        raise UserError(f"`{name}` is missing from the config")
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"`{name}` is `{shown(value)}`, not a whole number")
    if not low <= value <= high:
        raise UserError(f"`{name}` is {shown(value)}, allowed are {low} to {high}")


def _check_between(name: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"`{name}` is `{shown(value)}`, allowed are numbers from {low:g} to {high:g}")


def _given(fields: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A field, or `default` if it is missing or null. Its type and range are checked where it is used."""
    value = fields.get(name)
    return default if value is None else value


def _single(value: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded
