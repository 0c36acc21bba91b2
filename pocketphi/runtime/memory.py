"""How much memory a model will take, before it is loaded.

    weights   the file, mapped: the kernel may drop its pages, but a step reads them all
    cache     keys and values, half precision, for every position of the context; taken page by page
    scratch   activations of one pass through the layers, and one row of logits

A model that does not fit is refused with these numbers and with the context that would fit. The
alternative is what users of other runtimes report: a killed process, or a machine that swaps.
"""

from dataclasses import dataclass

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError

SHARE_BY_DEFAULT = 0.75
"""A context nobody asked for may fill this much of the memory that is available."""
SMALLEST_CONTEXT = 512
PAGE_POSITIONS = 64
"""Positions that share a page of the engine's cache."""
_PASS_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes that a model takes once its context is full."""

    weights: int
    cache: int
    scratch: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.scratch


def cache_bytes_per_position(config: DecoderConfig) -> int:
    """Bytes of keys and values, in half precision, that one position takes in all layers."""
    padded_value = -(-config.head_dim // 16) * 16
    return config.num_hidden_layers * config.num_key_value_heads * (config.head_dim + padded_value) * 2


def page_budget(config: DecoderConfig, *, context: int, available: int | None) -> int:
    """The most that the cached keys of all sessions may take together.

    Pages are taken one by one, so a large budget costs nothing by itself: one full context is always
    granted, and up to eight for other sessions and forks while memory allows.
    """
    pages = -(-context // PAGE_POSITIONS)
    one = pages * PAGE_POSITIONS * cache_bytes_per_position(config)
    return max(one, min(8 * one, (available or 0) // 2))


def plan_memory(config: DecoderConfig, *, weights_bytes: int, context: int) -> MemoryPlan:
    """What a file of `weights_bytes` takes with `context` positions."""
    heads = config.num_attention_heads + 2 * config.num_key_value_heads
    width = 4 * config.hidden_size + heads * config.head_dim + 3 * config.intermediate_size
    return MemoryPlan(
        weights=weights_bytes,
        cache=context * cache_bytes_per_position(config),
        scratch=_PASS_TOKENS * width * 4 + config.vocab_size * 4,
    )


def choose_context(
    config: DecoderConfig, *, weights_bytes: int, wanted: int | None, available: int | None
) -> tuple[int, MemoryPlan]:
    """The context to load with, and what it takes.

    Args:
        wanted: positions somebody asked for; None for as many as the model knows and memory holds easily.
        available: bytes this process can take; None if unknown, then nothing is refused.

    Raises:
        UserError: `wanted` is more than the model knows, or the memory is not there; the message has
            the numbers, the hint a context that fits, if there is one.
    """
    longest = config.max_position_embeddings
    if wanted is not None and not 1 <= wanted <= longest:
        raise UserError(f"context `{wanted}` is not possible", hint=f"this model takes 1 to {longest} positions")
    bare = plan_memory(config, weights_bytes=weights_bytes, context=0).total
    if available is None:
        context = longest if wanted is None else wanted
        return context, plan_memory(config, weights_bytes=weights_bytes, context=context)
    easy = int((available * SHARE_BY_DEFAULT - bare) // cache_bytes_per_position(config))
    context = min(longest, max(easy, SMALLEST_CONTEXT)) if wanted is None else wanted
    plan = plan_memory(config, weights_bytes=weights_bytes, context=context)
    if plan.total > available:
        most = (available - bare) // cache_bytes_per_position(config)
        raise UserError(
            f"{_size(plan.total)} of memory needed ({_size(plan.weights)} weights, {_size(plan.cache)} for "
            f"{context} positions, {_size(plan.scratch)} scratch), {_size(available)} available",
            hint=f"a context of {most} fits"
            if most >= SMALLEST_CONTEXT
            else "close other programs, or take a smaller model",
        )
    return context, plan


def _size(num_bytes: int) -> str:
    if num_bytes >= 1 << 30:
        return f"{num_bytes / (1 << 30):.2f} GiB"
    return f"{num_bytes / (1 << 20):.1f} MiB"
