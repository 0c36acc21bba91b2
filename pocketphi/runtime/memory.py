"""How much memory a model will take at most, before it is loaded.

    weights   the file, mapped: the kernel may drop its pages, but a step reads them all
    cache     keys and values, half precision, in whole pages, for every position of the context
    scratch   what the engine lays out for a pass through the layers (`engine/src/workspace.cpp`)
    program   Python, its libraries and the tokenizer's tables: measured, and rounded up

A model that does not fit is refused with these numbers and with the context that would fit. The
alternative is what users of other runtimes report: a killed process, or a machine that swaps.
Logits of a whole text (`Model.logits`) are the caller's, and are not counted.
"""

from dataclasses import dataclass, replace

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError, is_whole
from pocketphi.runtime.machine import chosen_threads

SHARE_BY_DEFAULT = 0.75
"""A context nobody asked for may fill this much of the memory that is available."""
SMALLEST_CONTEXT = 512
PAGE_POSITIONS = 64
"""Positions that share a page of the engine's cache."""
_PASS_TOKENS = 512
_LOGIT_ROWS = 32
_PARTIAL_ROWS = 1 << 14
_QUERY_ROWS = 128
_FEW_TOKENS = 8
_CHUNK_FLOATS = 256 * _PASS_TOKENS
_MATMUL_SCRATCH = 1 << 19
"""Constants of `engine/src/engine.h` and `workspace.cpp`; of the matrix products' own scratch, the largest."""
_UNIT_BYTES = 128
"""A token at one head, or a partial result, as the engine keeps note of it; at most."""
_LIBRARIES = 56 << 20
_TOKEN_BYTES = 1 << 10
"""What Python takes with everything imported, and what a token takes in the tokenizer's tables, at their peak."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes that a model takes once its context is full."""

    weights: int
    cache: int
    scratch: int
    program: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.scratch + self.program


def cache_bytes_per_position(config: DecoderConfig) -> int:
    """Bytes of keys and values, in half precision, that one position takes in all layers."""
    padded_value = -(-config.head_dim // 16) * 16
    return config.num_hidden_layers * config.num_key_value_heads * (config.head_dim + padded_value) * 2


def page_bytes(config: DecoderConfig) -> int:
    """Bytes of one page of the cache, the least by which it grows."""
    return PAGE_POSITIONS * cache_bytes_per_position(config)


def page_budget(config: DecoderConfig, *, context: int, available: int | None) -> int:
    """The most that the cached keys of all sessions may take together.

    Pages are taken one by one, so a large budget costs nothing by itself: one full context is always
    granted, and up to eight for other sessions and forks while memory allows.
    """
    one = _pages(context) * page_bytes(config)
    return max(one, min(8 * one, (available or 0) // 2))


def plan_memory(
    config: DecoderConfig,
    *,
    weights_bytes: int,
    context: int,
    threads: int | None = None,
    pass_tokens: int = 0,
    activation_bits: int = 8,
) -> MemoryPlan:
    """What a file of `weights_bytes` takes with `context` positions.

    Args:
        threads: worker threads, each with scratch of its own; None for as many as there are cores.
        pass_tokens: tokens per pass through the layers; 0 for the engine's choice.
        activation_bits: 8, or 16 for two planes of scratch.
    """
    return MemoryPlan(
        weights=weights_bytes,
        cache=_pages(context) * page_bytes(config),
        scratch=_scratch_bytes(config, chosen_threads(threads), pass_tokens or _PASS_TOKENS, activation_bits // 8),
        program=_LIBRARIES + config.vocab_size * _TOKEN_BYTES,
    )


def _scratch_bytes(config: DecoderConfig, threads: int, tokens: int, planes: int) -> int:
    """At least what the engine allocates. Inputs of a product are counted as floats: quantized ones take less."""
    hidden, inner = _padded(config.hidden_size), _padded(config.intermediate_size)
    head, query = _padded(config.head_dim, 16), _padded(config.num_attention_heads * config.head_dim)
    key = _padded(config.num_key_value_heads * config.head_dim)
    state = head + 16
    widest = max(hidden, query)
    # The residual stream and its norm, queries, keys and values, what was attended, inner values, angles.
    token = hidden + planes * (hidden + (query + 2 * key) + query + inner) + head + (widest + inner)
    units = (tokens * config.num_key_value_heads + _PARTIAL_ROWS) * _UNIT_BYTES
    shared = tokens * token + planes * _LOGIT_ROWS * config.vocab_size + _PARTIAL_ROWS * (state + 1)
    own = (
        _FEW_TOKENS * (planes * hidden + max(widest, inner))
        + max(_CHUNK_FLOATS, 256 * planes * tokens)
        + max(_QUERY_ROWS, config.num_attention_heads // config.num_key_value_heads) * 3 * state
        + PAGE_POSITIONS * (2 * head + 8)
    )
    return 4 * (shared + threads * own) + threads * _MATMUL_SCRATCH + units


def _pages(context: int) -> int:
    return -(-context // PAGE_POSITIONS)


def _padded(size: int, multiple: int = 256) -> int:
    return -(-size // multiple) * multiple


def choose_context(
    config: DecoderConfig,
    *,
    weights_bytes: int,
    wanted: int | None,
    available: int | None,
    threads: int | None = None,
    pass_tokens: int = 0,
    activation_bits: int = 8,
) -> tuple[int, MemoryPlan]:
    """The context to load with, and what it takes.

    Args:
        wanted: positions somebody asked for; None for as many as the model knows and memory holds easily.
        available: bytes this process can take; None if unknown, then nothing is refused.
        threads, pass_tokens, activation_bits: as `plan_memory` takes them.

    Raises:
        UserError: `wanted` is more than the model knows, or the memory is not there; the message has
            the numbers, the hint a context that fits, if there is one.
    """
    longest = config.max_position_embeddings
    if wanted is not None and (not is_whole(wanted) or not 1 <= wanted <= longest):
        raise UserError(f"context `{wanted}` is not possible", hint=f"this model takes 1 to {longest} positions")

    def plan_for(context: int) -> MemoryPlan:
        return plan_memory(
            config,
            weights_bytes=weights_bytes,
            context=context,
            threads=threads,
            pass_tokens=pass_tokens,
            activation_bits=activation_bits,
        )

    if available is None:
        context = longest if wanted is None else wanted
        return context, plan_for(context)
    bare = plan_for(0).total
    easy = int((available * SHARE_BY_DEFAULT - bare) // page_bytes(config)) * PAGE_POSITIONS
    context = min(longest, max(easy, SMALLEST_CONTEXT)) if wanted is None else wanted
    plan = plan_for(context)
    if plan.total > available:
        most = (available - bare) // page_bytes(config) * PAGE_POSITIONS
        raise UserError(
            f"{_size(plan.total)} of memory needed ({_size(plan.weights)} weights, {_size(plan.cache)} for "
            f"{context} positions, {_size(plan.scratch)} scratch, {_size(plan.program)} program), "
            f"{_size(available)} available",
            hint=f"a context of {most} fits"
            if most >= SMALLEST_CONTEXT
            else "close other programs, or take a smaller model",
        )
    return context, plan


@dataclass(frozen=True, kw_only=True)
class ServingPlan:
    """How a model is loaded for several sequences at once."""

    context: int
    """Positions that each may take."""
    budget: int
    """Bytes of cached keys and values, of all sequences together and of prefixes that are kept."""
    memory: MemoryPlan
    """With the whole budget used."""

    def full_sequences(self, config: DecoderConfig) -> int:
        """Sequences that may fill their context at the same time."""
        return self.budget // (_pages(self.context) * page_bytes(config))


def plan_serving(
    config: DecoderConfig,
    *,
    weights_bytes: int,
    wanted: int | None,
    available: int | None,
    parallel: int,
    threads: int | None = None,
) -> ServingPlan:
    """The context and the memory of cached keys for `parallel` sequences.

    A context that nobody asked for is as large as the model knows and as `parallel` of them fit easily. One that was
    asked for may be larger: then fewer fill it at the same time.

    Args:
        wanted, available: as `choose_context` takes them.

    Raises:
        UserError: as `choose_context`.
    """
    if wanted is None and available is not None:
        bare = plan_memory(config, weights_bytes=weights_bytes, context=0, threads=threads).total
        easy = int((available * SHARE_BY_DEFAULT - bare) // parallel // page_bytes(config)) * PAGE_POSITIONS
        wanted = min(config.max_position_embeddings, max(easy, SMALLEST_CONTEXT))
    context, one = choose_context(
        config, weights_bytes=weights_bytes, wanted=wanted, available=available, threads=threads
    )
    room = parallel * one.cache if available is None else max(one.cache, available - (one.total - one.cache))
    budget = min(parallel * one.cache, room)
    return ServingPlan(context=context, budget=budget, memory=replace(one, cache=budget))


def _size(num_bytes: int) -> str:
    if num_bytes >= 1 << 30:
        return f"{num_bytes / (1 << 30):.2f} GiB"
    return f"{num_bytes / (1 << 20):.1f} MiB"
