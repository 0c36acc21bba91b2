"""How sure is a score, and is one better than another? Intervals, paired differences, calibration.

Items that share a passage are right or wrong together, so errors are taken over clusters of them (Miller 2024, "Adding
Error Bars to Evals", arXiv 2411.00640, sections 2.2 and 4.2); an item that shares nothing is a cluster of its own.

Intervals are those that hold what they promise near 0 and 1 too. For values in [0, 1] it is Wilson's (1927), with the
size that a sample of independent right-or-wrong items would need for the same error (Dean and Pavlou 2015): for such
items that is their number, for clusters it is less. For paired differences of right-or-wrong items, one win and one
loss are added first (Bonett and Price 2012). Where the error itself is uncertain, a t quantile takes the place of the
normal one, with fewer degrees of freedom where clusters differ in size (Satterthwaite 1946, as if a cluster were one
answer given many times). `tests/eval/test_statistics.py` measures the coverage: 93 to 97 % where the right items, and
the wrong ones, weigh as much as 10 independent ones; with fewer it can fall below 90 % for clusters.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.eval.results import Item, Score
from pocketphi.eval.student import half_width, two_sided

Floats = NDArray[np.float64]

_NORMAL = NormalDist().inv_cdf(0.975)
_SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Paired:
    """How much better the first of two is, on the same items."""

    difference: float
    """Of the means, first minus second."""
    standard_error: float
    """Of the difference, over clusters."""
    low: float
    high: float
    """Interval of 95 %."""
    p_value: float
    """Two-sided: McNemar's exact test for independent right-or-wrong items, else the t test of the interval."""
    wins: int
    """Items on which the first is better."""
    losses: int
    ties: int

    @property
    def verdict(self) -> Literal["higher", "lower", "unclear"]:
        """What may be said of the first; nothing unless the interval excludes 0 and the test agrees."""
        if self.p_value < _SIGNIFICANT and (self.low > 0 or self.high < 0):
            return "higher" if self.low > 0 else "lower"
        return "unclear"


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence."""

    confidence: float
    """Mean probability of the choice that was made."""
    accuracy: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether a model is right as often as it is sure."""

    bins: tuple[Bin, ...]
    """By rising confidence, of nearly the same size each."""
    error: float
    """Expected calibration error: the mean gap between the two, weighted by count."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What several prompt formats make of one score."""

    low: float
    median: float
    high: float


def score_of(values: Sequence[float], clusters: Sequence[str]) -> Score:
    """The mean of some items' values, and how sure it is.

    Args:
        values: one or more.
        clusters: what each item shares with others.
    """
    found = np.asarray(values, np.float64)
    count, mean = len(found), float(found.mean())
    sizes, members = _sizes(clusters)
    error = _standard_error(found, sizes, members)
    is_independent = len(sizes) == count and _is_binary(found)
    reach = _NORMAL if is_independent else half_width(_freedom(sizes))
    if found.min() < 0 or found.max() > 1:
        low, high = mean - reach * error, mean + reach * error
    else:
        low, high = _wilson(mean, _effective_size(found, error, len(sizes)), reach)
    return Score(value=mean, standard_error=error, low=low, high=high, count=count)


def scores_of(items: Sequence[Item]) -> dict[str, Score]:
    """The score of every metric, over the items that have it."""
    values: dict[str, tuple[list[float], list[str]]] = {}
    for item in items:
        for metric, value in item.scores.items():
            found, clusters = values.setdefault(metric, ([], []))
            found.append(value)
            clusters.append(item.cluster)
    return {metric: score_of(found, clusters) for metric, (found, clusters) in values.items()}


def paired(first: Sequence[float], second: Sequence[float], clusters: Sequence[str] | None = None) -> Paired:
    """Compare two on the same items, in the same order.

    Args:
        clusters: what each item shares with others; None if nothing.

    Raises:
        UserError: graded items of a single cluster tell nothing of chance.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    gains = one - other
    count, difference = len(gains), float(gains.mean())
    sizes, members = _sizes([str(index) for index in range(count)] if clusters is None else clusters)
    error = _standard_error(gains, sizes, members)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    centre, reach = difference, error
    if _is_binary(one) and _is_binary(other):
        # One win and one loss more, each on its own.
        groups = len(sizes)
        padded_sizes, padded = np.append(sizes, (1, 1)), np.append(gains, (1.0, -1.0))
        centre = float(padded.mean())
        reach = _standard_error(padded, padded_sizes, np.append(members, (groups, groups + 1)))
        if groups == count:
            # Known but for the two rates, so it is the normal quantile, and the spread is not divided by one less.
            width = _NORMAL * reach * math.sqrt((count + 1) / (count + 2))
            p_value = sign_test(wins, losses)
        else:
            freedom = _freedom(padded_sizes)
            width, p_value = half_width(freedom) * reach, two_sided(centre / reach, freedom)
    elif len(sizes) < 2:
        raise UserError("items that all share one passage tell nothing of chance", hint="compare on more items")
    else:
        freedom = _freedom(sizes)
        width = half_width(freedom) * error
        p_value = two_sided(difference / error, freedom) if error else sign_test(*_sides(difference, len(sizes)))
    return Paired(
        difference=difference,
        standard_error=error,
        low=centre - width,
        high=centre + width,
        p_value=p_value,
        wins=wins,
        losses=losses,
        ties=count - wins - losses,
    )


def sign_test(wins: int, losses: int) -> float:
    """McNemar's exact test: probability of a split at least as uneven, if each disagreement is a fair coin."""
    total = wins + losses
    tail, ways = 0, 1
    for few in range(min(wins, losses) + 1):
        tail += ways
        ways = ways * (total - few) // (few + 1)
    return min(1.0, 2 * tail / (1 << total))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted so that the chance of a single false finding among all of them stays what each says (Holm 1979)."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def calibration(items: Iterable[Item], *, bins: int = 10, metric: str = "acc") -> Calibration | None:
    """Confidence in the likeliest choice against how often it is right (Guo et al. 2017, arXiv 1706.04599).

    Bins hold the same number of items, so that none is empty and none decides alone (Nixon et al. 2019, arXiv
    1904.01685).

    Args:
        metric: says whether the likeliest choice was right.

    Returns:
        None if no item has probabilities and that metric.
    """
    found = sorted(
        (max(item.probabilities), item.id, item.scores[metric])
        for item in items
        if item.probabilities and metric in item.scores
    )
    if not found:
        return None
    table = np.array([(confidence, right) for confidence, _, right in found])
    parts = [part for part in np.array_split(table, bins) if len(part)]
    made = tuple(
        Bin(confidence=float(part[:, 0].mean()), accuracy=float(part[:, 1].mean()), count=len(part)) for part in parts
    )
    error = sum(each.count * abs(each.accuracy - each.confidence) for each in made) / len(found)
    return Calibration(bins=made, error=error, count=len(found))


def format_spread(headlines: Mapping[str, float]) -> Spread:
    """Of the headline by format; there is one at least."""
    values = headlines.values()
    return Spread(low=min(values), median=median(values), high=max(values))


def _sizes(clusters: Sequence[str]) -> tuple[Floats, NDArray[np.intp]]:
    """Items of each cluster, and the cluster of each item."""
    numbers: dict[str, int] = {}
    members = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], np.intp)
    return np.bincount(members).astype(np.float64), members


def _standard_error(values: Floats, sizes: Floats, members: NDArray[np.intp]) -> float:
    """Of the mean, over clusters (Miller 2024, equation 4); for clusters of one it is the common one."""
    count, groups = len(values), len(sizes)
    if groups == 1:
        return float(values.std())  # all that one cluster can tell
    sums = np.bincount(members, values - values.mean())
    return math.sqrt(groups / (groups - 1) * float(sums @ sums)) / count


def _freedom(sizes: Floats) -> float:
    """Degrees of freedom of the standard error; one less than the clusters if they are alike."""
    return max(1.0, float((sizes**2).sum() ** 2 / (sizes**4).sum()) - 1)


def _effective_size(values: Floats, error: float, groups: int) -> float:
    """How many independent right-or-wrong items would leave the same error."""
    count, mean = len(values), float(values.mean())
    variance = float(values.var())
    if groups == 1 or variance == 0:
        return groups
    # Clusters that balance exactly do not prove that there is no error.
    squared = error**2 if error**2 > 1e-12 * variance else variance / (count - 1)
    return count / (count - 1) * mean * (1 - mean) / squared


def _wilson(mean: float, size: float, reach: float) -> tuple[float, float]:
    room = reach**2 / size
    centre = (mean + room / 2) / (1 + room)
    width = math.sqrt(room * mean * (1 - mean) + room**2 / 4) / (1 + room)
    return max(0.0, min(mean, centre - width)), min(1.0, max(mean, centre + width))


def _is_binary(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _sides(difference: float, groups: int) -> tuple[int, int]:
    """Differences that are all the same, as wins and losses of clusters."""
    return (groups if difference > 0 else 0), (groups if difference < 0 else 0)
