"""Perplexity of a text, by the definition of llama.cpp's `llama-perplexity`, so that figures compare.

The text is tokenized once, with BOS in front if the model uses one, and cut in chunks of `context`
tokens; a last, shorter chunk is left out. Each chunk is a sequence of its own, its first token
replaced by BOS if the model uses one. Only the second half of a chunk is scored, where every token
has at least `context / 2` before it: positions `context / 2` to `context - 2` predict the token after
them. Perplexity is exp of the mean negative log likelihood over all scored tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.runtime.abi import Positions
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import NativeSession
from pocketphi.runtime.sampling import score

SCORED_AT_ONCE = 128
"""Positions whose logits are held in memory together."""


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """What a text's tokens cost a model."""

    perplexity: float
    standard_error: float
    """Of the perplexity, from the spread of the scored tokens."""
    nats_per_token: float
    num_scored: int
    num_chunks: int
    context: int


def perplexity(
    model: Model,
    text: str,
    *,
    context: int = 512,
    max_chunks: int | None = None,
    cancel: CancelFlag | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Perplexity:
    """Measure `text`.

    Args:
        context: tokens in a chunk, 4 or more.
        max_chunks: measure only so many from the start.
        progress: called after every chunk with chunks done, chunks in all, and the perplexity so far.

    Raises:
        UserError: the text has not even one chunk, or `context` is more than the model holds.
        Cancelled: `cancel` was set.
    """
    if not 4 <= context <= model.context_size:
        raise UserError(f"context `{context}` is not possible", hint=f"give 4 to {model.context_size}")
    bos = model.bos_id
    tokens = np.asarray(([] if bos is None else [bos]) + model.tokenizer.encode(text), np.int32)
    num_chunks = min(len(tokens) // context, len(tokens) if max_chunks is None else max_chunks)
    if num_chunks < 1:
        raise UserError(
            f"the text has `{len(tokens)}` tokens, one chunk takes `{context}`",
            hint="give a longer text, or a smaller context",
        )
    costs: list[NDArray[np.float32]] = []
    for index in range(num_chunks):
        chunk = tokens[index * context : (index + 1) * context].copy()
        if bos is not None:
            chunk[0] = bos
        with model.engine.session() as session:
            costs.append(-logprobs(model, session, chunk, first=context // 2, cancel=cancel))
        if progress is not None:
            progress(index + 1, num_chunks, math.exp(np.concatenate(costs).mean(dtype=np.float64)))
    return _summary(np.concatenate(costs).astype(np.float64), num_chunks, context)


def logprobs(
    model: Model,
    session: NativeSession,
    tokens: Sequence[int] | NDArray[np.int32],
    *,
    first: int,
    cancel: CancelFlag | None,
) -> NDArray[np.float32]:
    """Log probabilities of `tokens[first + 1:]`, each after all tokens before it, on an empty session."""
    whole = np.asarray(tokens, np.int32)
    rope = model.config.rope
    if rope.is_long and len(whole) > rope.original_max_position_embeddings:
        # Beyond LongRoPE's border the whole sequence turns by other angles, so it is computed in one step.
        logits = session.step(whole, logits=Positions.ALL, cancel=cancel).logits
        assert logits is not None
        return score(logits[first:-1], whole[first + 1 :])[0]
    if first:
        session.step(whole[:first], logits=Positions.NONE, cancel=cancel)
    parts = []
    for start in range(first, len(whole) - 1, SCORED_AT_ONCE):
        stop = min(start + SCORED_AT_ONCE, len(whole) - 1)
        logits = session.step(whole[start:stop], logits=Positions.ALL, cancel=cancel).logits
        assert logits is not None
        parts.append(score(logits, whole[start + 1 : stop + 1])[0])
    return np.concatenate(parts)


def _summary(costs: NDArray[np.float64], num_chunks: int, context: int) -> Perplexity:
    mean = float(costs.mean())
    spread = float(costs.std(ddof=1)) / math.sqrt(len(costs)) if len(costs) > 1 else 0.0
    return Perplexity(
        perplexity=math.exp(mean),
        standard_error=math.exp(mean) * spread,
        nats_per_token=mean,
        num_scored=len(costs),
        num_chunks=num_chunks,
        context=context,
    )
