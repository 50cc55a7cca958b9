"""What ``autonomy status`` shows of the reviews in each scope; the bound itself is in ``autonomy.bounds``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from countersign.autonomy.bounds import ALPHA_PPM, DELTA_PPM, incomplete_beta, reviews_needed, upper_bound_ppm
from countersign.autonomy.scopes import DEFAULT_SCOPES, START_STAGE, Scope, Stage

__all__ = [
    "ALPHA_PPM",
    "DELTA_PPM",
    "Reviews",
    "StatusRow",
    "incomplete_beta",
    "reviews_needed",
    "status_rows",
    "upper_bound_ppm",
]


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
