import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.eval.results import Item
from pocketphi.eval.tasks.length import KS, cca, deviation, hca, length_scores, sca

# Right in 10 words, right in 40, wrong in 20, right in 30: mean 25 words, deviation sqrt(125).
ANSWERS = [(1.0, 10), (1.0, 40), (0.0, 20), (1.0, 30)]
SOME = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 400)), min_size=1, max_size=30)
LIMIT = st.integers(0, 300)


def item(n, written, acc, *, logprobs=()):
    return Item(
        id=str(n),
        subset="",
        cluster=str(n),
        prompt_digest="",
        question="",
        choices=(),
        expected="",
        answer="",
        written=written,
        logprobs=logprobs,
        probabilities=(),
        scores={} if acc is None else {"acc": acc},
    )


@pytest.mark.parametrize(("k", "expected"), [(9, 0.0), (10, 0.25), (30, 0.5), (39, 0.5), (40, 0.75), (1000, 0.75)])
def test_hard_accuracy_counts_right_answers_within_the_limit(k, expected):
    assert hca(ANSWERS, k) == expected


def test_soft_accuracy_by_hand():
    # Beyond 30 words: one right answer, 10 words too long, at alpha 5: exp(-2).
    assert sca(ANSWERS, 30, 5) == pytest.approx((1 + 1 + 0.1353352832366127) / 4)
    # Beyond 20: the answers of 40 and 30 words, at alpha 10: exp(-2) and exp(-1).
    assert sca(ANSWERS, 20, 10) == pytest.approx((1 + 0.1353352832366127 + 0.36787944117144233) / 4)


def test_consistent_accuracy_by_hand():
    assert deviation(ANSWERS) == pytest.approx(math.sqrt(125))
    discount = math.exp((10 - 11.180339887498949) / 10)
    assert cca(ANSWERS, 40, 5, 10) == pytest.approx(0.75 * discount)
    assert cca(ANSWERS, 40, 5, 12) == 0.75  # lengths scatter by less than beta


@given(SOME, LIMIT)
def test_soft_tends_to_hard_as_alpha_tends_to_zero(answers, k):
    assert sca(answers, k, 1e-3) == pytest.approx(hca(answers, k), abs=1e-12)


@given(SOME, LIMIT, st.floats(0.1, 100), st.floats(0.1, 100))
def test_consistent_below_soft_and_hard_below_soft_below_accuracy(answers, k, alpha, beta):
    accuracy = sum(right for right, _ in answers) / len(answers)
    assert cca(answers, k, alpha, beta) <= sca(answers, k, alpha) <= accuracy + 1e-12
    assert hca(answers, k) <= sca(answers, k, alpha) + 1e-12


@given(SOME, LIMIT, LIMIT, st.floats(0.1, 100), st.floats(0.1, 100))
def test_a_higher_limit_never_lowers_a_score(answers, first, second, alpha, beta):
    low, high = sorted((first, second))
    assert hca(answers, low) <= hca(answers, high)
    assert sca(answers, low, alpha) <= sca(answers, high, alpha) + 1e-12
    assert cca(answers, low, alpha, beta) <= cca(answers, high, alpha, beta) + 1e-12


@given(SOME, LIMIT, st.floats(0.1, 50), st.floats(0.1, 50))
def test_more_patience_never_lowers_a_score(answers, k, first, second):
    low, high = sorted((first, second))
    assert sca(answers, k, low) <= sca(answers, k, high) + 1e-12


@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_alpha_and_beta_are_lengths(value):
    with pytest.raises(UserError, match="`alpha` is"):
        sca(ANSWERS, 10, value)
    with pytest.raises(UserError, match="`beta` is"):
        cca(ANSWERS, 10, 1, value)


def test_of_no_answers_all_is_zero():
    assert hca([], 10) == sca([], 10, 1) == cca([], 10, 1, 1) == 0


def test_items_are_measured_by_the_words_that_were_written():
    items = [item(0, "so it is 7", 1.0), item(1, "word " * 50, 1.0), item(2, "", 0.0), item(3, "never judged", None)]
    scores = length_scores(items)
    assert scores is not None
    assert (scores.count, scores.accuracy, scores.mean_words) == (3, pytest.approx(2 / 3), 18.0)
    assert scores.hca == {
        15: pytest.approx(1 / 3),
        30: pytest.approx(1 / 3),
        45: pytest.approx(1 / 3),
        60: pytest.approx(2 / 3),
        100: pytest.approx(2 / 3),
    }
    assert tuple(scores.sca) == tuple(scores.cca) == KS
    assert scores.sca[45] == pytest.approx((1 + math.exp(-0.5)) / 3)


def test_a_task_of_choices_has_no_length():
    assert length_scores([item(0, "", 1.0, logprobs=(-1.0, -2.0))]) is None
    assert length_scores([]) is None
