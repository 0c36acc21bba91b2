"""Perplexity by llama.cpp's definition, written out."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pocketphi.errors import UserError
from pocketphi.eval.perplexity import perplexity
from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime.abi import Cancelled
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.model import Model
from tiny import longrope_config

TEXT = "the tin in the inn, and an answer that is another thing " * 20


@pytest.fixture(scope="module")
def model(tiny_file: PocketFile) -> Iterator[Model]:
    with Model(tiny_file, threads=2) as model:
        yield model


def definition(model: Model, tokens: list[int], context: int) -> tuple[float, int]:
    costs = []
    for start in range(0, len(tokens) - context + 1, context):
        chunk = tokens[start : start + context]
        logits = model.logits(chunk).astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        costs += [-logprobs[i, chunk[i + 1]] for i in range(context // 2, context - 1)]
    return float(np.exp(np.mean(costs))), len(costs)


@pytest.mark.parametrize("context", [4, 5, 64, 301])
def test_it_follows_the_definition(model: Model, context: int):
    expected, count = definition(model, model.tokenizer.encode(TEXT), context)
    result = perplexity(model, TEXT, context=context)
    assert result.perplexity == pytest.approx(expected, rel=1e-5)
    assert result.num_scored == count
    assert result.standard_error > 0


def test_beyond_longrope_s_border_the_whole_chunk_uses_the_long_factors(open_tiny: Callable[..., Model]):
    model = open_tiny(longrope_config(border=32))
    for context in (32, 33, 100):
        expected, _ = definition(model, model.tokenizer.encode(TEXT), context)
        assert perplexity(model, TEXT, context=context).perplexity == pytest.approx(expected, rel=1e-5)


def test_a_model_with_bos_starts_every_chunk_with_it(model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Model, "bos_id", 7)
    tokens = [7, *model.tokenizer.encode(TEXT)]
    for start in range(0, len(tokens), 50):
        tokens[start] = 7
    expected, _ = definition(model, tokens, 50)
    assert perplexity(model, TEXT, context=50).perplexity == pytest.approx(expected, rel=1e-5)


def test_progress_and_limits(model: Model):
    seen: list[tuple[int, int, float]] = []
    result = perplexity(model, TEXT, context=64, max_chunks=3, progress=lambda *now: seen.append(now))
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1][2] == pytest.approx(result.perplexity)
    with pytest.raises(UserError, match="has `3` tokens"):
        perplexity(model, "an x", context=64)
    for context in (0, 3, 513):
        with pytest.raises(UserError, match=f"context `{context}`"):
            perplexity(model, TEXT, context=context)
    flag = CancelFlag()
    flag.set()
    with pytest.raises(Cancelled):
        perplexity(model, TEXT, context=64, cancel=flag)
    assert model.engine.pages_in_use_bytes == 0
