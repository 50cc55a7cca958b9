"""How sure the reviews make us: the Clopper-Pearson upper bound on the share of threats among would-be closes.

Clopper & Pearson 1934, Biometrika 26: U = BetaInv(1 - delta; k + 1, n - k). The incomplete beta function is evaluated by
its continued fraction (Abramowitz & Stegun 26.5.8, Lentz's method), so that nothing beyond the standard library is
needed; the tests compare it with scipy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from countersign.autonomy.scopes import DEFAULT_SCOPES, START_STAGE, Scope, Stage
from countersign.model.verdicts import PPM

ALPHA_PPM = 10_000
"""Accepted share of threats among closed findings: 1 %."""
DELTA_PPM = 50_000
"""Accepted chance that the bound is wrong: 5 %."""

_TINY = 1e-300
_STEPS_MAX = 10_000
_EPSILON = 1e-15
_HALVINGS = 60


def reviews_needed(alpha_ppm: int = ALPHA_PPM, delta_ppm: int = DELTA_PPM) -> int:
    """Reviews without a single threat after which the bound is at most alpha: ceil(ln delta / ln(1 - alpha))."""
    return math.ceil(math.log(delta_ppm / PPM) / math.log1p(-alpha_ppm / PPM))


def upper_bound_ppm(reviewed: int, threats: int, delta_ppm: int = DELTA_PPM) -> int:
    """Bound on P(threat) after ``threats`` in ``reviewed``, right with probability 1 - delta; rounded up to whole ppm.

    Raises ValueError unless 0 <= threats <= reviewed and 0 < delta < 1.
    """
    if not 0 <= threats <= reviewed or not 0 < delta_ppm < PPM:
        raise ValueError(f"no bound for {threats} in {reviewed} at {delta_ppm} ppm")
    if threats == reviewed:
        return PPM
    low, high = threats / reviewed, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(threats + 1, reviewed - threats, middle) < 1 - delta_ppm / PPM:
            low = middle
        else:
            high = middle
    return min(PPM, math.ceil(high * PPM))


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


@dataclass(frozen=True, slots=True)
class Reviews:
    """Independent units (findings) in one scope that a person reviewed and that the agent would have closed."""

    reviewed: int = 0
    threats: int = 0


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One line of ``countersign autonomy status``. bound_ppm: upper bound on missed threats; PPM while nothing is
    reviewed. missing: further clean reviews before the next stage may be asked for; -1 when a threat was among them."""

    scope: str
    title: str
    stage: Stage
    stopped: bool
    reviewed: int
    threats: int
    bound_ppm: int
    missing: int


def status_rows(
    reviews: Mapping[str, Reviews],
    stages: Mapping[str, Stage] | None = None,
    stopped: frozenset[str] = frozenset(),
    scopes: Mapping[str, Scope] = DEFAULT_SCOPES,
) -> tuple[StatusRow, ...]:
    """Every scope with what its reviews show. stopped: scope names under the kill switch, or ``*`` for all."""
    return tuple(_status(scope, reviews, stages or {}, stopped) for scope in scopes.values())


def _status(scope: Scope, reviews: Mapping[str, Reviews], stages: Mapping[str, Stage], stopped: frozenset[str]) -> StatusRow:
    seen = reviews.get(scope.name, Reviews())
    return StatusRow(
        scope=scope.name,
        title=scope.title,
        stage=stages.get(scope.name, START_STAGE),
        stopped=bool(stopped & {"*", scope.name}),
        reviewed=seen.reviewed,
        threats=seen.threats,
        bound_ppm=upper_bound_ppm(seen.reviewed, seen.threats),
        missing=-1 if seen.threats else max(0, reviews_needed() - seen.reviewed),
    )
