"""How fast a model runs here, beside what this machine can do at most.

Times alone mean little on a shared machine. Right before every repeat the two limits are read with the
same threads: the bandwidth of a read-only pass over fresh memory, which bounds decoding (every weight is
read once per token), and the rate of int8 multiply-adds in registers, which bounds the prompt. The
shares tell how much of each limit the engine reaches; they stay comparable when the machine is slow.
"""

import ctypes
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.runtime import abi
from pocketphi.runtime.abi import Isa
from pocketphi.runtime.machine import resident_memory
from pocketphi.runtime.model import Model

_LIMIT_BYTES = 512 << 20
_LIMIT_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Medians over the repeats. Rates are per second."""

    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    first_token_seconds: float
    """From an empty session to the first token of the answer."""
    peak_memory_bytes: int | None
    """The most this process held before the limits were measured, the mapped file included; None where the
    system does not tell."""
    read_bandwidth_bytes_per_second: float
    int8_ops_per_second: float
    decode_bandwidth_share: float
    """Bytes that a decoded token must read (weights and cached keys), over what the bandwidth of fresh memory allows;
    above 1 where a large cache holds the weights."""
    prefill_compute_share: float
    """Multiply-adds of the matrix products of the prompt, over what the int8 rate allows."""
    prompt_tokens: int
    new_tokens: int
    threads: int
    isa: str
    repeats: int

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Run:
    prefill_seconds: float
    decode_seconds: float
    bandwidth: float
    int8_ops: float


def bench(
    model: Model,
    *,
    prompt_tokens: int = 512,
    new_tokens: int = 128,
    repeats: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> BenchResult:
    """Measure `model` with its own threads, alone on an empty session.

    Args:
        prompt_tokens: random tokens computed at once.
        new_tokens: greedy tokens written after them, one by one.
        progress: called with repeats done and in all.

    Raises:
        UserError: a count is not positive, or both together exceed the context.
    """
    if min(prompt_tokens, new_tokens, repeats) < 1:
        raise UserError("prompt tokens, new tokens and repeats must be 1 or more")
    if prompt_tokens + new_tokens > model.context_size:
        raise UserError(
            f"`{prompt_tokens + new_tokens}` tokens do not fit in the context of `{model.context_size}`",
            hint="ask for fewer tokens, or load the model with a larger `context`",
        )
    prompt = np.random.default_rng(0).integers(0, model.config.vocab_size, prompt_tokens, dtype=np.int32)
    _work(model, prompt, new_tokens)
    peak_memory = resident_memory()  # before the limits are measured: that takes memory of its own
    runs = []
    for index in range(repeats):
        runs.append(_measure(model, prompt, new_tokens))
        if progress is not None:
            progress(index + 1, repeats)
    first_token = statistics.median(run.prefill_seconds for run in runs)
    decode = statistics.median(run.decode_seconds for run in runs) / new_tokens
    positions = prompt_tokens + new_tokens / 2
    read = model.bytes_per_token + positions * model.cache_bytes_per_position
    operations = 2 * model.multiply_adds_per_token * prompt_tokens
    return BenchResult(
        prefill_tokens_per_second=prompt_tokens / first_token,
        decode_tokens_per_second=1 / decode,
        first_token_seconds=first_token,
        peak_memory_bytes=peak_memory,
        read_bandwidth_bytes_per_second=statistics.median(run.bandwidth for run in runs),
        int8_ops_per_second=statistics.median(run.int8_ops for run in runs),
        decode_bandwidth_share=statistics.median(
            read * new_tokens / run.decode_seconds / run.bandwidth for run in runs
        ),
        prefill_compute_share=statistics.median(operations / run.prefill_seconds / run.int8_ops for run in runs),
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        threads=model.engine.num_threads,
        isa=model.engine.isa.name.lower(),
        repeats=repeats,
    )


def _measure(model: Model, prompt: NDArray[np.int32], new_tokens: int) -> _Run:
    threads = model.engine.num_threads
    int8_ops, bandwidth = measure_int8(threads, model.engine.isa), measure_read_bandwidth(threads)
    _work(model, prompt[:1], 1)  # the reading of fresh memory pushed the weights out of the caches
    prefill_seconds, decode_seconds = _work(model, prompt, new_tokens)
    return _Run(prefill_seconds, decode_seconds, bandwidth, int8_ops)


def _work(model: Model, prompt: NDArray[np.int32], new_tokens: int) -> tuple[float, float]:
    """Seconds for the prompt up to the first token, and for `new_tokens` after it."""
    with model.engine.session() as session:
        start = time.perf_counter()
        token = _greedy(session.step(prompt).logits)
        first = time.perf_counter()
        for _ in range(new_tokens):
            token = _greedy(session.step([token]).logits)
        return first - start, time.perf_counter() - first


def _greedy(logits: NDArray[np.float32] | None) -> int:
    assert logits is not None
    return int(logits[0].argmax())


def measure_read_bandwidth(threads: int, num_bytes: int = _LIMIT_BYTES, seconds: float = _LIMIT_SECONDS) -> float:
    """Bytes per second that `threads` read from fresh memory."""
    result = ctypes.c_double()
    abi.check(abi.library().pp_measure_read_bandwidth(threads, num_bytes, seconds, ctypes.byref(result)))
    return result.value


def measure_int8(threads: int, isa: Isa, seconds: float = _LIMIT_SECONDS) -> float:
    """int8 operations per second of `threads` in registers, two for each multiply-add."""
    result = ctypes.c_double()
    abi.check(abi.library().pp_measure_int8(threads, isa, seconds, ctypes.byref(result)))
    return result.value
