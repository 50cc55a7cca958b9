"""Exact binomial bounds from the standard library alone; the tests compare every one with scipy.

Clopper & Pearson 1934, Biometrika 26: U = BetaInv(1 - delta; k + 1, n - k). The incomplete beta function is evaluated by
its continued fraction (Abramowitz & Stegun 26.5.8, Lentz's method), the binomial tail by its relation to it (26.5.24).
"""

from __future__ import annotations

import math
from functools import lru_cache

from countersign.model.verdicts import PPM

ALPHA_PPM = 10_000
"""Accepted share of threats among closed findings: 1 %."""
DELTA_PPM = 50_000
"""Accepted chance that the bound is wrong: 5 %."""

_TINY = 1e-300
_STEPS_MAX = 10_000
_EPSILON = 1e-15
_HALVINGS = 60


@lru_cache(maxsize=4096)
def reviews_needed(alpha_ppm: int = ALPHA_PPM, delta_ppm: int = DELTA_PPM, threats: int = 0) -> int:
    """Fewest reviews, ``threats`` of them threats, after which the bound is at most alpha; with none it is
    ceil(ln delta / ln(1 - alpha)) = 299, with one 473."""
    low = math.ceil(math.log(delta_ppm / PPM) / math.log1p(-alpha_ppm / PPM))
    if not threats:
        return low
    high = low * (2 + 2 * threats)
    while low < high:
        middle = (low + high) // 2
        refuted = binomial_tail(threats, middle, alpha_ppm / PPM) <= delta_ppm / PPM
        low, high = (low, middle) if refuted else (middle + 1, high)
    return low


def upper_bound_ppm(reviewed: int, threats: int, delta_ppm: int = DELTA_PPM) -> int:
    """Bound on P(threat) after ``threats`` in ``reviewed``, right with probability 1 - delta; rounded up to whole ppm.

    Raises ValueError unless 0 <= threats <= reviewed and 0 < delta < 1.
    """
    _check(reviewed, threats, delta_ppm)
    if threats == reviewed:
        return PPM
    found = beta_inverse(1 - delta_ppm / PPM, threats + 1, reviewed - threats, low=threats / reviewed)
    return min(PPM, math.ceil(found * PPM))


def lower_bound_ppm(reviewed: int, threats: int, delta_ppm: int = DELTA_PPM) -> int:
    """The other side, BetaInv(delta; k, n - k + 1), rounded down; with delta/2 on both sides an interval of 1 - delta.

    Raises ValueError as ``upper_bound_ppm`` does.
    """
    _check(reviewed, threats, delta_ppm)
    return 0 if threats == 0 else PPM - upper_bound_ppm(reviewed, reviewed - threats, delta_ppm)


def binomial_tail(threats: int, reviewed: int, alpha: float) -> float:
    """P(Bin(reviewed, alpha) <= threats): how likely so few threats are when the risk is alpha or more."""
    if threats >= reviewed:
        return 1.0
    return 0.0 if threats < 0 else incomplete_beta(reviewed - threats, threats + 1, 1 - alpha)


def beta_inverse(chance: float, a: float, b: float, *, low: float = 0.0) -> float:
    """The x at or above ``low`` with I_x(a, b) = chance, from above, by bisection; a, b > 0."""
    high = 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(a, b, middle) < chance:
            low = middle
        else:
            high = middle
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away(1 + even * d)
        c = _away(1 + even / c)
        value *= d * c
        d = 1 / _away(1 + odd * d)
        c = _away(1 + odd / c)
        step = d * c
        value *= step
        if abs(step - 1) < _EPSILON:
            break
    return value


def _away(value: float) -> float:
    """Lentz's guard against division by zero."""
    return value if abs(value) > _TINY else _TINY


def _check(reviewed: int, threats: int, delta_ppm: int) -> None:
    if not 0 <= threats <= reviewed or not 0 < delta_ppm < PPM:
        raise ValueError(f"no bound for {threats} in {reviewed} at {delta_ppm} ppm")
