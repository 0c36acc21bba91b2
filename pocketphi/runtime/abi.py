"""The engine's C surface in ctypes: structs, prototypes, errors, and the library itself.

`engine/include/pocketphi.h` is the definition; this module mirrors it field by field. A library
that was built from another header is found out when it is loaded, by its ABI version and by the
size of every struct, never later by a crash. Only the library inside this package is used: no
search path, no environment variable can slip in another.
"""

import ctypes
import sys
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError

ABI_VERSION = 3


class Status(IntEnum):
    """What a call of the engine returned."""

    OK = 0
    INVALID = 1
    MEMORY = 2
    CANCELLED = 3
    UNSUPPORTED = 4


class Isa(IntEnum):
    """Instruction sets, in rising order."""

    AUTO = 0
    SCALAR = 1
    AVX2 = 2
    AVX512 = 3
    AMX = 4


class Positions(IntEnum):
    """For which of a step's new positions an output is wanted."""

    NONE = 0
    LAST = 1
    ALL = 2


class Config(ctypes.Structure):
    """pp_config."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("hidden_size", c_uint32),
        ("intermediate_size", c_uint32),
        ("num_hidden_layers", c_uint32),
        ("num_attention_heads", c_uint32),
        ("num_key_value_heads", c_uint32),
        ("head_dim", c_uint32),
        ("vocab_size", c_uint32),
        ("max_position_embeddings", c_uint32),
        ("original_max_position_embeddings", c_uint32),
        ("sliding_window", c_uint32),
        ("tie_word_embeddings", c_uint32),
        ("rms_norm_eps", c_float),
        ("rope_attention_factor", c_float),
    ]


class Tensor(ctypes.Structure):
    """pp_tensor."""

    _fields_ = [
        ("name", c_char_p),
        ("data", c_void_p),
        ("num_bytes", c_uint64),
        ("format", c_uint32),
        ("group", c_uint32),
        ("rows", c_uint32),
        ("cols", c_uint32),
    ]


class EngineOptions(ctypes.Structure):
    """pp_engine_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("isa", c_uint32),
        ("num_threads", c_uint32),
        ("max_batch_tokens", c_uint32),
        ("page_budget_bytes", c_uint64),
        ("activation_bits", c_uint32),
        ("reserved", c_uint32),
    ]


class Item(ctypes.Structure):
    """pp_item."""

    _fields_ = [
        ("session", c_void_p),
        ("tokens", c_void_p),
        ("num_tokens", c_uint32),
        ("logits_positions", c_uint32),
        ("hidden_positions", c_uint32),
        ("expected_length", c_uint32),
        ("logits", c_void_p),
        ("hidden", c_void_p),
    ]


class Sampling(ctypes.Structure):
    """pp_sampling."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("top_k", c_uint32),
        ("temperature", c_float),
        ("top_p", c_float),
        ("min_p", c_float),
        ("repetition_penalty", c_float),
        ("frequency_penalty", c_float),
        ("presence_penalty", c_float),
        ("num_history", c_uint32),
        ("num_bias", c_uint32),
        ("history", c_void_p),
        ("bias_tokens", c_void_p),
        ("bias_values", c_void_p),
        ("allowed", c_void_p),
        ("seed", c_uint64),
        ("counter", c_uint64),
    ]


STRUCTS = {
    "pp_config": Config,
    "pp_tensor": Tensor,
    "pp_engine_options": EngineOptions,
    "pp_item": Item,
    "pp_sampling": Sampling,
}
"""In the order of `pp_struct_size`."""

Progress = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)

_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "pp_last_error": (c_char_p, []),
    "pp_best_isa": (c_uint32, []),
    "pp_isa_name": (c_char_p, [c_uint32]),
    "pp_model_create": (c_uint32, [POINTER(Config), POINTER(Tensor), c_size_t, POINTER(c_void_p)]),
    "pp_model_free": (None, [c_void_p]),
    "pp_engine_create": (c_uint32, [c_void_p, POINTER(EngineOptions), POINTER(c_void_p)]),
    "pp_engine_free": (None, [c_void_p]),
    "pp_engine_isa": (c_uint32, [c_void_p]),
    "pp_engine_page_bytes": (c_uint64, [c_void_p]),
    "pp_engine_page_positions": (c_uint32, [c_void_p]),
    "pp_engine_pages_in_use": (c_uint64, [c_void_p]),
    "pp_session_create": (c_uint32, [c_void_p, POINTER(c_void_p)]),
    "pp_session_free": (None, [c_void_p]),
    "pp_session_fork": (c_uint32, [c_void_p, POINTER(c_void_p)]),
    "pp_session_rewind": (c_uint32, [c_void_p, c_uint64]),
    "pp_session_length": (c_uint64, [c_void_p]),
    "pp_session_stale": (c_uint64, [c_void_p, c_uint64]),
    "pp_step": (c_uint32, [c_void_p, POINTER(Item), c_size_t, POINTER(c_int32), Progress, c_void_p]),
    "pp_sample": (c_uint32, [c_void_p, c_uint32, POINTER(Sampling), POINTER(c_int32), POINTER(c_float)]),
    "pp_score": (c_uint32, [c_void_p, c_uint32, c_void_p, c_size_t, c_void_p, c_void_p]),
    "pp_measure_read_bandwidth": (c_uint32, [c_uint32, c_uint64, c_double, POINTER(c_double)]),
    "pp_measure_int8": (c_uint32, [c_uint32, c_uint32, c_double, POINTER(c_double)]),
    "pp_test_matmul": (c_uint32, [c_uint32, POINTER(Tensor), c_void_p, c_uint32, c_void_p]),
}

_REPAIR = "reinstall pocketphi, or run `make setup` in a clone, so that engine and package match"


def library_path() -> Path:
    """Where the engine of this package is, whether or not it was built."""
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    return Path(__file__).resolve().parent.parent / "_engine" / f"libpocketphi.{suffix}"


@cache
def library() -> ctypes.CDLL:
    """The engine, loaded and checked against this module.

    Raises:
        UserError: it was not built, cannot be loaded here, or belongs to another version.
    """
    return load_library(library_path())


def load_library(path: Path) -> ctypes.CDLL:
    """Load the engine at `path`. Raises `UserError` as `library` does."""
    if not path.is_file():
        raise UserError(f"the engine `{path}` is missing", hint=_REPAIR)
    try:
        engine = ctypes.CDLL(str(path))
        engine.pp_abi_version.restype = c_uint32
        engine.pp_struct_size.restype = c_uint64
        engine.pp_struct_size.argtypes = [c_uint32]
        found = engine.pp_abi_version()
        if found != ABI_VERSION:
            raise UserError(f"the engine `{path}` has ABI version `{found}`, expected `{ABI_VERSION}`", hint=_REPAIR)
        for which, (name, struct) in enumerate(STRUCTS.items()):
            size, expected = engine.pp_struct_size(which), ctypes.sizeof(struct)
            if size != expected:
                raise UserError(f"the engine `{path}` has {size} bytes in `{name}`, expected {expected}", hint=_REPAIR)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(engine, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise UserError(f"the engine `{path}` cannot be loaded: {error}", hint=_REPAIR) from error
    return engine


class Cancelled(Exception):
    """The cancel flag was set while the engine worked; every session is as before the call."""


_HINTS = {
    Status.MEMORY: "use a shorter context or a smaller model, or close other programs",
    Status.UNSUPPORTED: "leave the instruction set to `auto`",
}


def check(status: int) -> None:
    """Raise what a failed call means. Must run on the thread that made the call.

    Raises:
        Cancelled: the cancel flag was set.
        UserError: everything else, with the engine's own words.
    """
    if status == Status.OK:
        return
    if status == Status.CANCELLED:
        raise Cancelled
    message = (library().pp_last_error() or b"").decode("utf-8", "replace")
    raise UserError(message or f"the engine failed with status `{status}`", hint=_HINTS.get(Status(status)))
