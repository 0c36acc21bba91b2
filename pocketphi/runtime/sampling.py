"""From logits to the next token: what can be set, and the call of the engine's sampler.

One draw is named by a seed and a counter (the position of the new token), so an answer is the same
whatever was drawn before it, and the same after an undo. The arithmetic is the engine's
(`pp_sample`), one for Python, phone and browser.
"""

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError, is_whole
from pocketphi.runtime import abi

MAX_SEED = 2**64 - 1


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How tokens are chosen. The defaults are greedy."""

    temperature: float = 0.0
    """0 takes the largest logit; 1 draws from the model's own distribution."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of tokens with at least this probability."""
    min_p: float = 0.0
    """Drop tokens below this share of the likeliest one's probability."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens that the answer already holds."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for every time that the answer holds it."""
    presence_penalty: float = 0.0
    """Subtracted once if the answer holds the token."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Token id -> added to its logit before everything else."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0.0, 100.0),
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("repetition_penalty", 0.01, 100.0),
            ("frequency_penalty", -100.0, 100.0),
            ("presence_penalty", -100.0, 100.0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high or (name == "top_p" and value == 0):
                raise UserError(f"`{name}` is `{value}`", hint=f"give a number from {low:g} to {high:g}")
        if not is_whole(self.top_k) or not 0 <= self.top_k < 2**32:
            raise UserError(f"`top_k` is `{self.top_k}`", hint="give a count, or 0 for all tokens")
        for token, bias in self.logit_bias.items():
            if not 0 <= token < 2**31 or not math.isfinite(bias):
                raise UserError(
                    f"`logit_bias` of token `{token}` is `{bias}`", hint="give token ids and finite numbers"
                )
        if not is_whole(self.seed) or not 0 <= self.seed <= MAX_SEED:
            raise UserError(f"`seed` is `{self.seed}`", hint="give a whole number from 0 to 2^64 - 1")


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """A drawn token under the model's own distribution, before any penalty, mask or temperature."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens, best first, with their log probabilities."""


class Sampler:
    """Draws tokens under fixed options.

    Args:
        options: how.
        allowed: (V,) booleans, the tokens that may be drawn; None for all.
    """

    def __init__(self, options: SamplingOptions, allowed: NDArray[np.bool_] | None = None) -> None:
        self.options = options
        self._bias_tokens = np.fromiter(options.logit_bias.keys(), np.int32, len(options.logit_bias))
        self._bias_values = np.fromiter(options.logit_bias.values(), np.float32, len(options.logit_bias))
        self._allowed = None if allowed is None else _bits(allowed)
        self._num_allowed = None if allowed is None else len(allowed)
        self._struct = abi.Sampling(
            struct_size=ctypes.sizeof(abi.Sampling),
            top_k=options.top_k,
            temperature=options.temperature,
            top_p=options.top_p,
            min_p=options.min_p,
            repetition_penalty=options.repetition_penalty,
            frequency_penalty=options.frequency_penalty,
            presence_penalty=options.presence_penalty,
            num_bias=len(self._bias_tokens),
            bias_tokens=self._bias_tokens.ctypes.data,
            bias_values=self._bias_values.ctypes.data,
            allowed=None if self._allowed is None else self._allowed.ctypes.data,
            seed=options.seed,
        )

    def draw(
        self,
        logits: NDArray[np.float32],
        history: Sequence[int],
        counter: int,
        *,
        allowed: NDArray[np.uint32] | None = None,
    ) -> tuple[int, float]:
        """The next token and its log probability in the model's unmodified distribution.

        Args:
            logits: (V,).
            history: tokens that the penalties count as seen.
            counter: with the seed, names this draw.
            allowed: (ceil(V / 32),) bit t % 32 of word t / 32 says whether token t may be drawn here; None for the
                sampler's own mask.

        Raises:
            UserError: a logit is NaN, none is finite, or no token is allowed.
        """
        row = np.ascontiguousarray(logits, np.float32)
        if row.ndim != 1 or self._num_allowed not in (None, len(row)):
            raise ValueError(f"logits of shape {row.shape} do not fit a mask of {self._num_allowed} tokens")
        penalised = self.options.repetition_penalty != 1 or self.options.frequency_penalty != 0
        if penalised or self.options.presence_penalty != 0:
            seen = np.asarray(history, np.int32)
            self._struct.history, self._struct.num_history = seen.ctypes.data, len(seen)
        words = self._allowed if allowed is None else allowed
        if words is not None and (words.dtype != np.uint32 or words.shape != (-(-len(row) // 32),)):
            raise ValueError(f"a mask of {words.shape} {words.dtype} does not fit {len(row)} tokens")
        self._struct.allowed = None if words is None else words.ctypes.data
        self._struct.counter = counter
        token, logprob = ctypes.c_int32(), ctypes.c_float()
        abi.check(
            abi.library().pp_sample(
                row.ctypes.data,
                len(row),
                ctypes.byref(self._struct),
                ctypes.byref(token),
                ctypes.byref(logprob),
            )
        )
        return token.value, logprob.value


def likeliest(logits: NDArray[np.float32], count: int) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens of (V,) logits with their log probabilities, best first, the smaller id on a tie."""
    if not count:
        return ()
    count = min(count, len(logits))
    least = np.partition(logits, len(logits) - count)[len(logits) - count]
    found = np.flatnonzero(logits >= least)
    best = found[np.argsort(-logits[found], kind="stable")][:count].astype(np.int32)
    highest, _ = score(logits[None], best[:1])
    logprobs = highest + (logits[best] - logits[best[0]])
    return tuple(zip(best.tolist(), logprobs.tolist(), strict=True))


def score(
    logits: NDArray[np.float32], targets: Sequence[int] | NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Log probabilities of one target per row of (T, V) logits, and every row's likeliest token."""
    rows = np.ascontiguousarray(logits, np.float32)
    wanted = np.ascontiguousarray(targets, np.int32)
    if rows.ndim != 2 or wanted.shape != (len(rows),):
        raise ValueError(f"{wanted.shape} targets do not fit {rows.shape} logits")
    logprobs, best = np.empty(len(rows), np.float32), np.empty(len(rows), np.int32)
    abi.check(
        abi.library().pp_score(
            rows.ctypes.data, rows.shape[1], wanted.ctypes.data, len(rows), logprobs.ctypes.data, best.ctypes.data
        )
    )
    return logprobs, best


def _bits(allowed: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Bit t % 32 of word t / 32 says whether token t is allowed."""
    words = np.zeros(-(-len(allowed) // 32) * 4, np.uint8)
    packed = np.packbits(allowed, bitorder="little")
    words[: len(packed)] = packed
    return words.view(np.uint32)
