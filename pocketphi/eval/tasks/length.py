"""Length-controlled accuracy: an answer that comes too late on a phone is no answer.

After Nayab et al. 2024 (arXiv 2407.19825), over answers that are right or wrong and `length` words long:

- HCA(k): right, and at most k words;
- SCA(k, alpha): right, at a discount of `exp((k - length) / alpha)` beyond k words;
- CCA(k, alpha, beta): SCA at a discount of `exp((beta - sigma) / beta)` where lengths scatter by a standard deviation
  sigma of more than beta words.

The form of the last discount is known to us at second hand only. Words are what white space parts: of Chinese or
Japanese text that is hardly anything, so compare within a language.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pocketphi.errors import UserError
from pocketphi.eval.results import Item

Answers = Sequence[tuple[float, int]]
"""How right each answer is (0..1) and its length in words."""
KS = (15, 30, 45, 60, 100)
"""The limits of the paper's prompts, in words."""
ALPHA = 10.0
BETA = 20.0


@dataclass(frozen=True, kw_only=True)
class LengthScores:
    """Length-controlled accuracy of one task."""

    count: int
    accuracy: float
    mean_words: float
    deviation_words: float
    hca: Mapping[int, float]
    """By k."""
    sca: Mapping[int, float]
    cca: Mapping[int, float]


def hca(answers: Answers, k: float) -> float:
    """Hard: right within k words. 0 for no answers."""
    return _mean([right if words <= k else 0.0 for right, words in answers])


def sca(answers: Answers, k: float, alpha: float) -> float:
    """Soft: a word too many costs a factor of `exp(-1 / alpha)`. Tends to `hca` as alpha tends to 0."""
    _positive("alpha", alpha)
    return _mean([right * math.exp(min(0.0, (k - words) / alpha)) for right, words in answers])


def cca(answers: Answers, k: float, alpha: float, beta: float) -> float:
    """Consistent: soft, and less where lengths scatter by more than beta (population standard deviation)."""
    _positive("beta", beta)
    return sca(answers, k, alpha) * math.exp(min(0.0, (beta - deviation(answers)) / beta))


def deviation(answers: Answers) -> float:
    """Of lengths, in words."""
    return statistics.pstdev([words for _, words in answers]) if answers else 0.0


def length_scores(
    items: Sequence[Item], ks: Sequence[int] = KS, *, metric: str = "acc", alpha: float = ALPHA, beta: float = BETA
) -> LengthScores | None:
    """Of a task whose answers were written.

    Args:
        items: with their whole answers; those without the metric are left out.
        metric: what says whether an answer is right, 0..1.

    Returns:
        None where continuations were compared and nothing was written, or no item has the metric.
    """
    answers = [(each.scores[metric], len(each.written.split())) for each in items if metric in each.scores]
    if not answers or any(each.logprobs for each in items):
        return None
    return LengthScores(
        count=len(answers),
        accuracy=_mean([right for right, _ in answers]),
        mean_words=_mean([words for _, words in answers]),
        deviation_words=deviation(answers),
        hca={k: hca(answers, k) for k in ks},
        sca={k: sca(answers, k, alpha) for k in ks},
        cca={k: cca(answers, k, alpha, beta) for k in ks},
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise UserError(f"`{name}` is {value}, and has to be above 0", hint="it is a length in words, such as 10")
