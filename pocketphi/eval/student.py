"""Student's t distribution, so that a scoring machine needs no SciPy.

The tail is the regularized incomplete beta function, by its continued fraction (Abramowitz and Stegun 1964, 26.5.8
and 26.7.1), summed as Lentz does.
"""

import math
from functools import lru_cache

_TINY = 1e-300
_CLOSE = 1e-15
_STEPS = 10_000


def two_sided(t: float, freedom: float) -> float:
    """Probability of a value at least as far from 0 as `t`."""
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5)


@lru_cache(maxsize=4096)
def half_width(freedom: float, outside: float = 0.05) -> float:
    """How far from 0 to go so that `outside` of the probability, both sides together, is left out."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > outside:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > outside else (low, middle)
    return high


def _beta(x: float, a: float, b: float) -> float:
    """Regularized incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    # The fraction converges fast on this side of the peak.
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta(1.0 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)), from the front."""
    value, above, below = 1.0, 1.0, 0.0
    for step in range(1, _STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1.0 / (1.0 + term * below or _TINY)
        above = 1.0 + term / above or _TINY
        value *= above * below
        if abs(above * below - 1.0) < _CLOSE:
            break
    return value
