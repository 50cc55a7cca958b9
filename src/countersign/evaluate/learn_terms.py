"""What a site's labels add to the prior, term by term: the same kind of machine, started at the prior's score.

The prior's score is the offset, so with few or dull labels nothing is added and the prior stands. Both parts are tables of
the same features; their sum is one table each, which keeps the contributions exact and the counterfactual minimal.
Directions are those that an attacker cannot turn round (P10): whatever he can make more of never lowers the score.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from countersign.errors import EnvironmentFault, VerificationError
from countersign.evaluate.trainer import Machine, Rows, Table, integer_bins
from countersign.model.verdicts import PICO
from countersign.triage.features import CATEGORICAL, FEATURES
from countersign.triage.terms import MISSING, CategoricalTerm, NumericTerm, Term

DIRECTIONS: Mapping[str, int] = {
    "alerts": 1,
    "actors": 1,
    "pair_firings": -1,
    "pair_gap_s": 1,
    "rule_firings": -1,
    "rule_gap_s": 1,
    "host_rules_15m": 1,
    "host_alerts_15m": 1,
    "tool": 0,
    "host_role": 0,
    "severity": 1,
    "tactic_stage": 1,
    "tactics_in_case": 1,
    "asset_criticality": 1,
    "identity_criticality": 1,
    "ti_hits": 1,
    "off_hours": 1,
    "pattern_share_ppm": 1,
    "rule_share_ppm": 1,
    "host_rare_1h": 1,
}
"""Features that a site may learn, and which way. Its own volumes and how widely a rule fires are left out: they fall or rise
with whoever else is busy."""
LOWEST = frozenset({"tactic_stage", "asset_criticality", "identity_criticality"})
"""Features whose -1 is the low end of the scale and not a gap: what becomes known can then only add."""
SETTINGS: dict[str, Any] = {  # the last four keep it from running away where a few threats can be told apart for certain
    "interactions": 0,
    "max_bins": 16,
    "min_samples_leaf": 10,
    "outer_bags": 4,
    "max_rounds": 2_000,
    "reg_lambda": 3.0,
    "min_hessian": 0.1,
    "max_delta_step": 1.0,
    "n_jobs": 1,
    "random_state": 7,
}
THREATS_MIN = 5
"""Fewer threats teach nothing: the prior stands."""
LOGITS_MAX = 12.0
"""A fit with a larger share than this ran away, and the prior stands."""
ORIGIN = "site"
TRAINER = "interpret-core"
EQUALITY_LOGITS = 1e-9
_NAMES = tuple(DIRECTIONS)


@dataclass(frozen=True, slots=True)
class Delta:
    """What is added: to the intercept, and per feature, in pico-logits."""

    intercept: int = 0
    terms: tuple[Term, ...] = ()


def learn(rows: Rows, threats: Sequence[bool], weights: Sequence[float], offsets: Sequence[int]) -> Delta:
    """Fit to the labels what the offsets (pico-logits) do not say already; nothing when there are too few to fit.

    Raises EnvironmentFault without the extra ``learn``, VerificationError unless our tables equal the trainer's."""
    if min(sum(threats), len(threats) - sum(threats)) < THREATS_MIN:
        return Delta()
    machine = _fit(rows, threats, weights, [offset / PICO for offset in offsets])
    if not all(bool(np.all(np.abs(found) <= LOGITS_MAX)) for found in (machine.intercept_, *machine.term_scores_)):
        return Delta()
    delta = Delta(
        round(float(machine.intercept_[0]) * PICO),
        tuple(
            _term(name, bins[0], [round(float(score) * PICO) for score in scores])
            for name, bins, scores in zip(_NAMES, machine.bins_, machine.term_scores_, strict=True)
        ),
    )
    _check(delta, machine, rows)
    return delta


def _fit(rows: Rows, threats: Sequence[bool], weights: Sequence[float], offsets: Sequence[float]) -> Machine:
    try:
        from interpret.glassbox import ExplainableBoostingClassifier  # noqa: PLC0415 - optional extra
    except ImportError:
        raise EnvironmentFault(
            "training needs interpret-core", where="countersign learn", todo="pip install 'countersign[learn]'"
        ) from None
    machine: Any = ExplainableBoostingClassifier(
        feature_names=list(_NAMES),
        feature_types=["nominal" if name in CATEGORICAL else "continuous" for name in _NAMES],
        monotone_constraints=list(DIRECTIONS.values()),
        **SETTINGS,
    )
    truth = np.array(threats, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trainer warns of its own deprecated calls
        machine.fit(_table(rows), truth, sample_weight=np.array(weights), init_score=np.array(offsets))
    fitted: Machine = machine
    return fitted


def _table(rows: Rows) -> Table:
    columns = [FEATURES.index(name) for name in _NAMES]
    out = np.empty((len(rows), len(columns)), dtype=object)
    for i, row in enumerate(rows):
        out[i] = [_cell(name, row[column]) for column, name in zip(columns, _NAMES, strict=True)]
    return out


def _cell(name: str, value: int | str) -> float | str:
    if isinstance(value, str):
        return value
    return math.nan if value <= MISSING and name not in LOWEST else float(value)


def _term(name: str, bins: Any, scores: Sequence[int]) -> Term:  # noqa: ANN401 - the trainer's cuts or dictionary
    """One table. scores: [missing, bins …, unseen]."""
    if isinstance(bins, dict):
        named = {str(word): scores[place] for word, place in sorted(bins.items())}
        return CategoricalTerm(name, ORIGIN, "", named, scores[-1])
    cuts = [float(cut) for cut in bins]
    inner = scores[1:-1]
    edges, values = integer_bins(cuts, inner)
    missing = inner[bisect_right(cuts, float(MISSING))] if name in LOWEST else scores[0]
    return NumericTerm(name, ORIGIN, "", edges, values, missing)


def _check(delta: Delta, machine: Machine, rows: Rows) -> None:
    ours = np.full(len(rows), delta.intercept, dtype=np.int64)
    for term in delta.terms:
        ours += term.column([row[FEATURES.index(term.feature)] for row in rows])
    worst = float(np.max(np.abs(ours / PICO - machine.decision_function(_table(rows)))))
    if worst > EQUALITY_LOGITS:
        raise VerificationError(f"our score differs from the trainer's by {worst:.3g} logit", where="learn")


def merge(prior: Sequence[Term], added: Sequence[Term], reason: str) -> tuple[Term, ...]:
    """One term per feature: the prior's with what was added to it; those that nothing was added to stay as they are."""
    more = {term.feature: term for term in added if _says(term)}
    kept = [_sum(term, more.pop(term.feature), reason) if term.feature in more else term for term in prior]
    return (*kept, *(_with(term, reason) for term in more.values()))


def _says(term: Term) -> bool:
    return any(score for score, _, _ in term.choices())


def _with(term: Term, reason: str) -> Term:
    if isinstance(term, NumericTerm):
        return NumericTerm(term.feature, ORIGIN, reason, term.edges, term.scores, term.missing)
    return CategoricalTerm(term.feature, ORIGIN, reason, term.scores, term.other)


def _sum(one: Term, two: Term, reason: str) -> Term:
    if isinstance(one, NumericTerm) and isinstance(two, NumericTerm):
        edges = tuple(sorted({*one.edges, *two.edges}))
        scores = tuple(one.pico(value) + two.pico(value) for value in (0, *edges))
        return NumericTerm(one.feature, ORIGIN, reason, edges, scores, one.missing + two.missing)
    if isinstance(one, CategoricalTerm) and isinstance(two, CategoricalTerm):
        words = sorted({*one.scores, *two.scores})
        named = {word: one.pico(word) + two.pico(word) for word in words}
        return CategoricalTerm(one.feature, ORIGIN, reason, named, one.other + two.other)
    raise VerificationError("a feature is a number here and a word there", where=one.feature)
