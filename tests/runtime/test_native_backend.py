"""Scoring and generating in batches: the same as one by one."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime.backend import Backend, GenerateRequest, ScoreRequest
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.writer import StopReason
from tiny import longrope_config

QUESTIONS = ["the thing in the tin", "an", "", "what is it?"]
ANSWERS = [" is", " is another thing", "", "x", "the the the"]


@pytest.fixture(scope="module")
def model(tiny_file: PocketFile) -> Iterator[Model]:
    with Model(tiny_file, threads=2) as model:
        yield model


def expected_score(model: Model, context: str, continuation: str) -> tuple[float, bool]:
    tokens, before = model.tokenizer.encode(context + continuation), model.tokenizer.encode(context)
    start = max(1, next((i for i, token in enumerate(before) if tokens[i : i + 1] != [token]), len(before)))
    if len(tokens) <= start:
        return 0.0, True
    logits = model.logits(tokens)[start - 1 : -1].astype(np.float64)
    logprobs = logits - logits.max(axis=1, keepdims=True)
    logprobs -= np.log(np.exp(logprobs).sum(axis=1, keepdims=True))
    rows = np.arange(len(logprobs))
    return logprobs[rows, tokens[start:]].sum(), bool((logits.argmax(axis=1) == tokens[start:]).all())


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_scores_are_sums_of_log_probabilities(model: Model, batch_size: int):
    requests = [ScoreRequest(context=q, continuation=a) for q in QUESTIONS for a in ANSWERS if q + a]
    results = NativeBackend(model, batch_size=batch_size).score(requests)
    for request, result in zip(requests, results, strict=True):
        logprob, is_greedy = expected_score(model, request.context, request.continuation)
        assert result.logprob == pytest.approx(logprob, abs=1e-4)
        assert result.is_greedy == is_greedy
    assert model.engine.pages_in_use_bytes == 0


def test_a_continuation_that_melts_into_the_context_is_scored(model: Model):
    melting = [
        (text[:i], text[i:])
        for text in ("the thing", "another thing", "is it in the tin")
        for i in range(1, len(text))
        if len(model.tokenizer.encode(text)) <= len(model.tokenizer.encode(text[:i]))
    ]
    assert melting, "the tiny tokenizer merges nothing: the test has lost its point"
    for result in NativeBackend(model).score([ScoreRequest(context=c, continuation=a) for c, a in melting]):
        assert result.num_tokens > 0
        assert result.logprob < 0


def test_a_batch_gives_exactly_what_single_requests_give(model: Model):
    sampling = SamplingOptions(temperature=1.0, seed=3)
    requests = [
        GenerateRequest(prompt=f"{word} {n}", max_tokens=3 + n, sampling=sampling)
        for n, word in enumerate("abcdefghijk")
    ]
    batched = NativeBackend(model, batch_size=4).generate(requests)
    single = [NativeBackend(model, batch_size=1).generate([request])[0] for request in requests]
    assert batched == single
    assert {result.stop_reason for result in batched} <= {StopReason.LENGTH, StopReason.END}
    assert model.engine.pages_in_use_bytes == 0


def test_scores_do_not_depend_on_the_batch(model: Model):
    requests = [ScoreRequest(context=q, continuation=a) for q in QUESTIONS for a in ANSWERS if q + a]
    assert NativeBackend(model, batch_size=2).score(requests) == NativeBackend(model).score(requests[::-1])[::-1]


def test_across_the_border_of_longrope_too(open_tiny: Callable[..., Model]):
    model = open_tiny(longrope_config(border=32))
    requests = [ScoreRequest(context="a" * 28, continuation=" b" * n) for n in (1, 3, 12)]
    for request, result in zip(requests, NativeBackend(model).score(requests), strict=True):
        tokens = model.tokenizer.encode(request.context + request.continuation)[:-1]
        logits = model.logits(tokens)[27:].astype(np.float64)
        wanted = model.tokenizer.encode(request.context + request.continuation)[28:]
        logprobs = logits - np.log(np.exp(logits - logits.max()).sum(axis=1, keepdims=True)) - logits.max()
        assert result.logprob == pytest.approx(logprobs[np.arange(len(wanted)), wanted].sum(), abs=1e-4)


def test_stop_strings_and_context(model: Model):
    sampling = SamplingOptions(temperature=1.0, seed=1)
    backend: Backend = NativeBackend(model)
    [whole] = backend.generate([GenerateRequest(prompt="hello", max_tokens=40, sampling=sampling)])
    stop = whole.text[5:7]
    [cut] = backend.generate([GenerateRequest(prompt="hello", max_tokens=40, sampling=sampling, stop=(stop,))])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.stop_reason is StopReason.STOP
    for odd in (
        lambda: backend.score([ScoreRequest(context="x" * 600, continuation="y")]),
        lambda: backend.generate([GenerateRequest(prompt="x" * 600, max_tokens=1)]),
        lambda: backend.generate([GenerateRequest(prompt="", max_tokens=1)]),
        lambda: backend.generate([GenerateRequest(prompt="x", max_tokens=0)]),
    ):
        with pytest.raises(UserError):
            odd()
    assert model.engine.pages_in_use_bytes == 0


def test_what_it_can_do(model: Model):
    capabilities = NativeBackend(model).capabilities
    assert capabilities.logits
    assert capabilities.max_context == model.context_size
