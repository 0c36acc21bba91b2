"""The sampler against its definition, written out in NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.runtime.sampling import Sampler, SamplingOptions, likeliest, score

LOGITS = np.random.default_rng(0).normal(0, 3, 300).astype(np.float32)


def frequencies(
    options: SamplingOptions, logits: np.ndarray = LOGITS, draws: int = 4000, **history: object
) -> np.ndarray:
    sampler = Sampler(options, **({"allowed": history.pop("allowed")} if "allowed" in history else {}))  # type: ignore[arg-type]
    counts = np.zeros(len(logits))
    for counter in range(draws):
        counts[sampler.draw(logits, history.get("history", []), counter)[0]] += 1  # type: ignore[arg-type]
    return counts / draws


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


def definition(options: SamplingOptions, logits: np.ndarray) -> np.ndarray:
    """Probability of each token: temperature, top-k, softmax, top-p, min-p."""
    scaled = logits.astype(np.float64) / options.temperature
    order = np.argsort(-scaled, kind="stable")
    if options.top_k:
        order = order[: options.top_k]
    probability = softmax(scaled[order])
    before = np.cumsum(probability) - probability
    keep = before < options.top_p
    keep &= probability >= options.min_p * probability[0]
    out = np.zeros(len(logits))
    out[order[keep]] = probability[keep] / probability[keep].sum()
    return out


@pytest.mark.parametrize(
    "options",
    [
        SamplingOptions(temperature=1.0, seed=1),
        SamplingOptions(temperature=0.6, seed=2),
        SamplingOptions(temperature=1.0, top_k=5),
        SamplingOptions(temperature=1.3, top_p=0.8),
        SamplingOptions(temperature=1.0, min_p=0.2),
        SamplingOptions(temperature=1.5, top_k=20, top_p=0.9, min_p=0.05, seed=2**64 - 1),
    ],
)
def test_tokens_come_as_often_as_the_definition_says(options: SamplingOptions):
    expected, found = definition(options, LOGITS), frequencies(options)
    assert not found[expected == 0].any()
    # 4000 draws: five standard deviations.
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-3).all()


def test_greedy_takes_the_largest_and_the_smallest_id_on_a_tie():
    logits = LOGITS.copy()
    logits[[7, 70, 200]] = 50
    assert Sampler(SamplingOptions()).draw(logits, [], 0)[0] == 7
    assert Sampler(SamplingOptions(temperature=1.0, top_k=1)).draw(logits, [], 3)[0] == 7


@pytest.mark.parametrize("temperature", [1e-30, 1e-38, 1e-44])
@pytest.mark.parametrize("cut", [{}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}])
def test_a_temperature_near_zero_takes_the_largest(temperature: float, cut: dict[str, Any]):
    options = SamplingOptions(temperature=temperature, **cut)
    assert {Sampler(options).draw(LOGITS, [], counter)[0] for counter in range(20)} == {int(LOGITS.argmax())}


def test_seed_and_counter_name_a_draw():
    options = SamplingOptions(temperature=1.0, seed=5)
    first = [Sampler(options).draw(LOGITS, [], counter)[0] for counter in range(50)]
    again = [Sampler(options).draw(LOGITS, [], counter)[0] for counter in reversed(range(50))]
    assert first == again[::-1]
    assert first != [Sampler(SamplingOptions(temperature=1.0, seed=6)).draw(LOGITS, [], c)[0] for c in range(50)]


def test_the_log_probability_is_of_the_unmodified_distribution():
    options = SamplingOptions(temperature=0.3, top_k=3, logit_bias={4: 2.0}, presence_penalty=1.0)
    expected = np.log(softmax(LOGITS))
    for counter in range(20):
        token, logprob = Sampler(options).draw(LOGITS, [1, 2], counter)
        assert logprob == pytest.approx(expected[token], abs=1e-5)


def test_bias_mask_and_penalties_move_what_they_should():
    best = int(LOGITS.argmax())
    second = int(np.argsort(-LOGITS)[1])
    assert Sampler(SamplingOptions(logit_bias={3: 1000.0})).draw(LOGITS, [], 0)[0] == 3
    allowed = np.ones(len(LOGITS), bool)
    allowed[best] = False
    assert Sampler(SamplingOptions(), allowed).draw(LOGITS, [], 0)[0] == second
    for penalty in ({"presence_penalty": 50.0}, {"frequency_penalty": 50.0}, {"repetition_penalty": 50.0}):
        assert Sampler(SamplingOptions(**penalty)).draw(LOGITS, [best], 0)[0] != best
        assert Sampler(SamplingOptions(**penalty)).draw(LOGITS, [second], 0)[0] == best


def test_frequency_counts_and_presence_does_not():
    logits = np.zeros(4, np.float32)
    logits[1] = 1.5
    once, twice = [1], [1, 1]
    assert Sampler(SamplingOptions(frequency_penalty=1.0)).draw(logits, once, 0)[0] == 1
    assert Sampler(SamplingOptions(frequency_penalty=1.0)).draw(logits, twice, 0)[0] == 0
    assert Sampler(SamplingOptions(presence_penalty=1.0)).draw(logits, twice, 0)[0] == 1


@pytest.mark.parametrize("bad", [np.nan, "all minus infinity", "nothing allowed"])
def test_logits_without_a_choice_are_an_error(bad: object):
    logits, allowed = LOGITS.copy(), None
    if bad == "all minus infinity":
        logits[:] = -np.inf
    elif bad == "nothing allowed":
        allowed = np.zeros(len(logits), bool)
    else:
        logits[5] = np.nan
    for temperature in (0.0, 1.0):
        with pytest.raises(UserError):
            Sampler(SamplingOptions(temperature=temperature), allowed).draw(logits, [], 0)


def test_a_bias_outside_the_vocabulary_is_an_error():
    with pytest.raises(UserError):
        Sampler(SamplingOptions(logit_bias={300: 1.0})).draw(LOGITS, [], 0)


@pytest.mark.parametrize(
    "odd",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"top_k": -1},
        {"repetition_penalty": 0},
        {"seed": -1},
        {"logit_bias": {-1: 1.0}},
        {"logit_bias": {2**40: 1.0}},
        {"logit_bias": {1: float("inf")}},
        {"seed": 2**64},
    ],
)
def test_odd_options_are_refused(odd: dict[str, Any]):
    with pytest.raises(UserError, match=next(iter(odd))):
        SamplingOptions(**odd)


def test_a_mask_of_another_vocabulary_is_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="do not fit a mask of 10 tokens"):
        Sampler(SamplingOptions(), np.ones(10, bool)).draw(LOGITS, [], 0)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 5), vocab=st.integers(1, 200), seed=st.integers(0, 1000))
def test_scores_are_log_softmax(rows: int, vocab: int, seed: int):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 5, (rows, vocab)).astype(np.float32)
    targets = random.integers(0, vocab, rows)
    logprobs, best = score(logits, targets)
    expected = np.array([np.log(softmax(row))[target] for row, target in zip(logits, targets, strict=True)])
    np.testing.assert_allclose(logprobs, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(best, logits.argmax(axis=1))


@pytest.mark.parametrize("count", [0, 1, 5, len(LOGITS), 10**6])
def test_the_likeliest_tokens_come_best_first_with_their_log_probabilities(count: int):
    found = likeliest(LOGITS, count)
    order = np.argsort(-LOGITS, kind="stable")[:count]
    expected, _ = score(np.broadcast_to(LOGITS, (len(order), len(LOGITS))), order) if len(order) else ([], None)
    assert [token for token, _ in found] == order.tolist()
    np.testing.assert_allclose([logprob for _, logprob in found], expected, atol=1e-6)
