"""Is one better than the other? Paired differences between two evaluations, and means over seeds.

Two models that were asked the same questions are compared question by question: what both get right or wrong
cancels, so the difference is known better than from the two accuracies alone (`pocketphi.eval.statistics`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pocketphi.errors import UserError
from pocketphi.eval.questions import Sample
from pocketphi.eval.statistics import paired


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better the first of two is, on the same questions."""

    difference: float
    """Of the accuracies, first minus second."""
    standard_error: float
    only_first: int
    """Questions that only the first got right."""
    only_second: int
    count: int
    p_value: float
    """Two-sided, McNemar's exact test."""
    same_answers: float
    """Part of the questions to which both wrote the same text."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A figure over several seeds."""

    mean: float
    standard_error: float | None
    """Of the mean; None for a single seed."""
    count: int


def compare(first: Sequence[Sample], second: Sequence[Sample]) -> Difference:
    """Compare two models on the questions that both were asked.

    Raises:
        UserError: they were not asked the same questions.
    """
    others = {sample.id: sample for sample in second}
    if {sample.id for sample in first} != others.keys():
        raise UserError("the two evaluations asked different questions", hint="evaluate both with the same recipe")
    pairs = [(sample, others[sample.id]) for sample in first]
    found = paired([a.is_correct for a, _ in pairs], [b.is_correct for _, b in pairs])
    return Difference(
        difference=found.difference,
        standard_error=found.standard_error,
        only_first=found.wins,
        only_second=found.losses,
        count=len(pairs),
        p_value=found.p_value,
        same_answers=sum(a.written == b.written for a, b in pairs) / len(pairs),
    )


def over_seeds(values: Sequence[float]) -> Mean:
    """The mean of one figure over runs that differ in their seed only."""
    if not values:
        raise UserError("there is nothing to average")
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Mean(mean=fmean(values), standard_error=error, count=len(values))
