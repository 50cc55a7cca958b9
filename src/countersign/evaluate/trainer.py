"""interpret-core's explainable boosting machine, and its exact translation into our own additive terms.

The trainer is the optional extra ``[learn]`` and is imported only here. Scoring needs none of it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from countersign.errors import EnvironmentFault
from countersign.model.verdicts import PICO
from countersign.triage.features import CATEGORICAL, FEATURES
from countersign.triage.terms import MISSING, CategoricalTerm, NumericTerm, Term

LEARNT = (
    "alerts",
    "pair_firings",
    "pair_gap_s",
    "rule_firings",
    "rule_gap_s",
    "host_rare_1h",
)
"""Features that are learnt: those that the training data know and that mean the same on another site. Tool, host role, hosts
per rule and traffic volumes are known too, and describe the testbed (docs/decisions/0004-prior-calibration.md)."""

MONOTONE = {
    "alerts": 1,
    "pair_firings": -1,
    "pair_gap_s": 1,
    "rule_firings": -1,
    "rule_gap_s": 1,
    "host_rare_1h": 1,
}
"""Directions that hold on any site: routine is what keeps firing, a long quiet broken is news, trouble breaks several at
once, and nobody lowers a score by repeating himself."""
MOST = {"alerts": 100, "pair_gap_s": 86_400, "rule_gap_s": 86_400, "host_rare_1h": 8}
"""Larger values are taken as this one: beyond, the networks differ from each other by their attacks' timing and speed."""
SETTINGS: dict[str, Any] = {
    "interactions": 0,
    "max_bins": 32,
    "outer_bags": 8,
    "n_jobs": 1,
    "random_state": 7,
}
ORIGIN = "learnt"

Table = NDArray[np.object_]
Rows = Sequence[tuple[int | str, ...]]
_REASON = "explainable boosting machine on the training data"


class Machine(Protocol):
    """What we need of a fitted ExplainableBoostingClassifier. bins_: per term a list whose first item is the cuts, or a
    dictionary from word to place; term_scores_: per term [missing, bins …, unseen]."""

    bins_: list[list[NDArray[np.float64] | dict[str, int]]]
    term_scores_: list[NDArray[np.float64]]
    intercept_: NDArray[np.float64]

    def decision_function(self, x: Table) -> NDArray[np.float64]:
        """Log-odds per row."""
        ...


def train(rows: Rows, threats: Sequence[bool], weights: Sequence[float]) -> Machine:
    """A fitted ExplainableBoostingClassifier, the same for the same input. Raises EnvironmentFault without the extra."""
    try:
        from interpret.glassbox import ExplainableBoostingClassifier  # noqa: PLC0415 - optional extra
    except ImportError:
        raise EnvironmentFault(
            "training needs interpret-core", where="countersign learn", todo="pip install 'countersign[learn]'"
        ) from None
    machine: Any = ExplainableBoostingClassifier(
        feature_names=list(LEARNT),
        feature_types=["nominal" if name in CATEGORICAL else "continuous" for name in LEARNT],
        monotone_constraints=[MONOTONE.get(name, 0) for name in LEARNT],
        **SETTINGS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trainer warns of its own deprecated calls
        machine.fit(table(rows), np.array(threats, dtype=np.int64), sample_weight=np.array(weights))
    fitted: Machine = machine
    return fitted


def table(rows: Rows) -> Table:
    """Rows as the trainer wants them: learnt columns only, numbers as floats, -1 as missing. Shape (n, learnt)."""
    columns = [FEATURES.index(name) for name in LEARNT]
    out = np.empty((len(rows), len(columns)), dtype=object)
    for i, row in enumerate(rows):
        out[i] = [_cell(row[column], MOST.get(name)) for column, name in zip(columns, LEARNT, strict=True)]
    return out


def _cell(value: int | str, most: int | None) -> float | str:
    if isinstance(value, str):
        return value
    return math.nan if value <= MISSING else float(value if most is None else min(value, most))


def terms_of(machine: Machine) -> tuple[int, tuple[Term, ...]]:
    """(intercept, terms) of a fitted machine in pico-logits: each share rounded once, so that sums differ from the
    trainer's by less than 1e-11 logit."""
    terms = tuple(
        _term(name, bins[0], [float(score) for score in scores])
        for name, bins, scores in zip(LEARNT, machine.bins_, machine.term_scores_, strict=True)
    )
    return _pico(float(machine.intercept_[0])), terms


def _term(name: str, bins: NDArray[np.float64] | dict[str, int], scores: list[float]) -> Term:
    if isinstance(bins, dict):
        named = {str(word): _pico(scores[place]) for word, place in sorted(bins.items())}
        return CategoricalTerm(name, ORIGIN, _REASON, named, _pico(scores[-1]))
    edges, values = integer_bins([float(cut) for cut in bins], [_pico(score) for score in scores[1:-1]])
    return NumericTerm(name, ORIGIN, _REASON, edges, values, _pico(scores[0]))


def integer_bins(cuts: Sequence[float], scores: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same steps over whole numbers from 0: value >= cut is value >= ceil(cut). Bins that hold no whole number
    vanish and equal neighbours join."""
    edges: list[int] = []
    kept = [scores[0]]
    for cut, score in zip(cuts, scores[1:], strict=True):
        edge = math.ceil(cut)
        if edge <= 0 or (edges and edges[-1] == edge):
            kept[-1] = score
        else:
            edges.append(edge)
            kept.append(score)
    changes = [i for i in range(len(edges)) if kept[i] != kept[i + 1]]
    return tuple(edges[i] for i in changes), (kept[0], *(kept[i + 1] for i in changes))


def _pico(logits: float) -> int:
    return round(logits * PICO)
