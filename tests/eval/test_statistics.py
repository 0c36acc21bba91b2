"""Intervals hold what they promise, over simulations with fixed seeds; p values equal those of exact sums."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.eval.results import Item
from pocketphi.eval.statistics import (
    calibration,
    format_spread,
    holm,
    paired,
    score_of,
    scores_of,
    sign_test,
)
from pocketphi.eval.student import half_width, two_sided

Floats = NDArray[np.float64]


def alone(count: int) -> list[str]:
    return [str(index) for index in range(count)]


def item(name: str, scores: dict[str, float], *, cluster: str = "", probabilities: Sequence[float] = ()) -> Item:
    return Item(
        id=name,
        subset="",
        cluster=cluster or name,
        prompt_digest="",
        question="",
        choices=(),
        expected="",
        answer="",
        written="",
        logprobs=(),
        probabilities=tuple(probabilities),
        scores=scores,
    )


def covered(draw: Callable[[], Floats], truth: float, clusters: Sequence[str], rounds: int) -> float:
    hits = 0
    for _ in range(rounds):
        score = score_of(draw().tolist(), clusters)
        hits += score.low <= truth <= score.high
    return hits / rounds


def test_the_interval_of_independent_items_is_wilsons():
    # Agresti and Coull 1998: 0 of 10 gives 0 and z2 / (n + z2).
    squared = 1.959963984540054**2
    score = score_of([0.0] * 10, alone(10))
    assert (score.value, score.standard_error, score.low, score.count) == (0.0, 0.0, 0.0, 10)
    assert score.high == pytest.approx(squared / (10 + squared))
    score = score_of([1.0] * 3 + [0.0] * 7, alone(10))
    for edge in (score.low, score.high):
        assert (0.3 - edge) ** 2 == pytest.approx(squared * edge * (1 - edge) / 10)


def test_coverage_of_independent_items_is_right_by_exact_sums():
    for count in (30, 50, 100, 300, 1000):
        scores = [score_of([1.0] * right + [0.0] * (count - right), alone(count)) for right in range(count + 1)]
        ways = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(count + 1)]
        found = []
        for rate in np.linspace(0.05, 0.95, 37):
            chances = [
                math.exp(way + k * math.log(rate) + (count - k) * math.log1p(-rate)) for k, way in enumerate(ways)
            ]
            found.append(sum(c for c, s in zip(chances, scores, strict=True) if s.low <= rate <= s.high))
        # Counts jump, so at single rates it misses by more than on average; by how much shrinks with their number.
        assert 0.945 < np.mean(found) < 0.957, count
        assert min(found) > (0.92 if count < 100 else 0.93), count
        assert max(found) < (0.983 if count < 100 else 0.97), count


@pytest.mark.parametrize("shape", ["of 5", "of 1 to 9", "skewed"])
def test_coverage_of_clustered_items(shape: str):
    rng = np.random.default_rng(11)
    every = []
    for count in (100, 300, 1000):
        sizes = {
            "of 5": np.full(count // 5, 5),
            "of 1 to 9": rng.integers(1, 10, count // 5),
            "skewed": rng.geometric(0.25, count // 4),
        }[shape]
        clusters = [str(number) for number, size in enumerate(sizes) for _ in range(size)]
        members = np.repeat(np.arange(len(sizes)), sizes)
        for rate in (0.05, 0.2, 0.5, 0.8, 0.95):
            for correlation in (0.0, 0.3, 0.7):

                def draw(rate=rate, correlation=correlation, members=members, sizes=sizes):
                    rates = np.full(len(sizes), rate)
                    if correlation:
                        # Beta-binomial: the correlation of two items of one cluster is 1 / (a + b + 1).
                        both = 1 / correlation - 1
                        rates = rng.beta(rate * both, (1 - rate) * both, len(sizes))
                    return (rng.random(len(members)) < rates[members]).astype(float)

                found = covered(draw, rate, clusters, 600)
                # So many clusters would be right or wrong if each answered as one.
                effective = len(members) / (1 + correlation * ((sizes**2).sum() / sizes.sum() - 1))
                rare = effective * min(rate, 1 - rate)
                if rare >= 10:
                    every.append(found)
                    assert 0.93 - 0.02 < found < 0.97 + 0.015, (count, rate, correlation)  # two errors of 600 rounds
                else:
                    assert found > 0.86, (count, rate, correlation)
    assert 0.945 < np.mean(every) < 0.965


def test_clusters_that_are_ignored_would_have_promised_too_much():
    rng = np.random.default_rng(5)
    members = np.repeat(np.arange(60), 5)

    def draw() -> Floats:
        return (rng.random(60) < 0.5).astype(float)[members]

    assert 0.93 < covered(draw, 0.5, [str(m) for m in members], 600) < 0.97
    assert covered(draw, 0.5, alone(300), 300) < 0.75


@pytest.mark.parametrize("count", [30, 100, 1000])
def test_coverage_of_graded_items(count: int):
    rng = np.random.default_rng(3)
    found = {
        "even": covered(lambda: rng.random(count), 0.5, alone(count), 800),
        "skewed": covered(lambda: rng.random(count) ** 4, 0.2, alone(count), 800),
        "lengths": covered(lambda: rng.normal(40, 9, count), 40, alone(count), 800),
    }
    assert all(0.93 < each < 0.97 for each in found.values()), found


@pytest.mark.parametrize("size", [1, 4])
def test_coverage_of_paired_differences(size: int):
    rng = np.random.default_rng(7)
    every = []
    for count in (40, 200, 1000):
        clusters = [str(index // size) for index in range(count)]
        for better, worse in ((0.1, 0.1), (0.15, 0.05), (0.05, 0.02), (0.3, 0.1)):
            hits = 0
            for _ in range(300):
                # A cluster decides as one, half of the time.
                alike = np.repeat(rng.random(count // size), size)
                draws = np.where(np.repeat(rng.random(count // size) < 0.5, size), alike, rng.random(count))
                first, second = draws < better, (draws >= better) & (draws < better + worse)
                found = paired(first.tolist(), second.tolist(), clusters)
                hits += found.low <= better - worse <= found.high
            every.append(hits / 300)
    assert 0.94 < np.mean(every) < 0.975
    assert min(every) > 0.91


def test_two_equal_models_are_seldom_told_apart_and_a_better_one_is():
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(500):
        hard = rng.random(200)
        verdicts.append(paired((rng.random(200) > hard).tolist(), (rng.random(200) > hard).tolist()).verdict)
    assert sum(verdict != "unclear" for verdict in verdicts) < 0.05 * 500
    weak = rng.random(400) < 0.5
    strong = weak | (rng.random(400) < 0.2)
    assert paired(strong.tolist(), weak.tolist()).verdict == "higher"
    assert paired(weak.tolist(), strong.tolist()).verdict == "lower"


def test_mcnemars_test_equals_the_sum_over_all_coins():
    for wins, losses in combinations_with_replacement(range(9), 2):
        total = wins + losses
        tail = sum(math.comb(total, few) for few in range(min(wins, losses) + 1)) / 2**total
        assert sign_test(wins, losses) == sign_test(losses, wins) == pytest.approx(min(1.0, 2 * tail))
    assert sign_test(9_000, 5_000) == 0.0 or sign_test(9_000, 5_000) < 1e-200


def test_pairs_are_counted_and_the_error_is_that_of_the_differences():
    found = paired([1, 1, 0, 1, 0], [1, 0, 1, 0, 0])
    assert (found.wins, found.losses, found.ties) == (2, 1, 2)
    assert found.difference == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(np.std([0, 1, -1, 1, 0], ddof=1) / math.sqrt(5))
    # Bonett and Price 2012, equation 2, by hand: (wins + 1, losses + 1) of n + 2.
    centre, spread = 1 / 7, 5 / 7 - 1 / 49
    assert found.low == pytest.approx(centre - 1.959963984540054 * math.sqrt(spread / 7))
    assert found.high == pytest.approx(centre + 1.959963984540054 * math.sqrt(spread / 7))


def test_items_given_five_times_are_no_more_evidence():
    first, second = [1, 1, 1, 0, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0, 1]
    clusters = [str(index) for index in range(8) for _ in range(5)]
    many = paired(np.repeat(first, 5).tolist(), np.repeat(second, 5).tolist(), clusters)
    assert many.p_value > paired(np.repeat(first, 5).tolist(), np.repeat(second, 5).tolist()).p_value
    assert many.standard_error == pytest.approx(paired(first, second).standard_error)
    graded = paired([0.5, 0.9, 0.4], [0.1, 0.2, 0.1])
    again = paired(*(np.repeat(v, 4).tolist() for v in ([0.5, 0.9, 0.4], [0.1, 0.2, 0.1])), list("aaaabbbbcccc"))
    assert (again.low, again.high, again.p_value) == pytest.approx((graded.low, graded.high, graded.p_value))


def test_what_cannot_be_told_is_not():
    with pytest.raises(UserError, match="share one passage"):
        paired([0.5, 0.7], [0.1, 0.2], ["a", "a"])
    single = score_of([1.0], ["a"])
    assert (single.low < 0.25, single.high) == (True, 1.0)
    one_passage = score_of([1.0, 0.0, 1.0, 1.0] * 20, ["a"] * 80)
    assert one_passage.high - one_passage.low > 0.75
    assert paired([1.0, 2.0], [0.5, 1.5]).verdict == "unclear"  # both differences are the same, and there are two


def test_scores_are_over_the_items_that_have_the_metric():
    items = [item("a", {"acc": 1, "precision": 1}), item("b", {"acc": 0}), item("c", {"acc": 0, "precision": 0})]
    found = scores_of(items)
    assert (found["acc"].count, found["precision"].count) == (3, 2)
    assert found["precision"].value == 0.5


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_calibration_of_a_model_that_knows_what_it_knows():
    rng = np.random.default_rng(2)
    sure = rng.uniform(0.5, 1.0, 4000)
    right = (rng.random(4000) < sure).astype(float)
    items = [
        item(str(i), {"acc": r}, probabilities=[s, 1 - s])
        for i, (s, r) in enumerate(zip(sure.tolist(), right.tolist(), strict=True))
    ]
    good = calibration(items)
    assert good is not None
    assert good.error < 0.03
    assert max(each.count for each in good.bins) - min(each.count for each in good.bins) <= 1
    boastful = calibration([item(str(i), {"acc": i % 2}, probabilities=[0.9, 0.1]) for i in range(100)])
    assert boastful is not None
    assert boastful.error == pytest.approx(0.4)
    assert calibration([item("a", {"acc": 1.0}), item("b", {"em": 1.0}, probabilities=[1.0])]) is None


def test_the_spread_over_formats():
    found = format_spread({"report": 0.5, "short": 0.2, "bare": 0.4, "upper": 0.6})
    assert (found.low, found.median, found.high) == (0.2, 0.45, 0.6)


def test_students_t_equals_its_closed_forms():
    for t in (0.1, 0.7, 1.5, 3.0, 12.0):
        assert two_sided(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), rel=1e-10)
        assert two_sided(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-9)
        angle = math.atan(t / math.sqrt(3))
        assert two_sided(t, 3) == pytest.approx(1 - 2 / math.pi * (angle + math.sin(angle) * math.cos(angle)), rel=1e-8)
    # Abramowitz and Stegun 1964, table 26.10.
    assert [round(half_width(freedom), 3) for freedom in (1, 2, 5, 10, 30, 120)] == [
        12.706, 4.303, 2.571, 2.228, 2.042, 1.980,
    ]  # fmt: skip
    assert half_width(1e7) == pytest.approx(1.959964, abs=1e-5)
