"""Boosted trees that each read one feature and the news on the host, and their exact translation into our additive terms.

Lou, Caruana, Gehrke & Hooker 2013: an additive model of single features and pairs, boosted. A tree that may split on no
more than two features is a table over them, so the sum of the trees is one table per pair, exactly. Every pair holds the
same feature (``BY``), and every table runs in the directions of ``MONOTONE`` (docs/decisions/0009-pairs.md).

The booster is LightGBM, from the optional extra ``[learn]``, and is imported only here. Scoring needs none of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from countersign.errors import EnvironmentFault
from countersign.model.verdicts import PICO
from countersign.triage.features import FEATURES
from countersign.triage.terms import NumericTerm, PairTerm, Term

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
MOST = {
    "alerts": 100,
    "pair_firings": 100,
    "pair_gap_s": 86_400,
    "rule_firings": 100,
    "rule_gap_s": 86_400,
    "host_rare_1h": 8,
}
"""Larger values are taken as this one: beyond, the networks differ from each other by their attacks' timing and speed, and a
rule that fired a hundred times is routine, be it ten thousand."""
BY = "host_rare_1h"
"""In its light the others are read: a scan in a calm hour and the same scan amid news are two things."""
SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "seed": 7,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
"""The booster's own defaults but for its rate; what it is compared with has the same."""
ROUNDS = 200
ORIGIN = "learnt"

Table = NDArray[np.float64]
Rows = Sequence[tuple[int | str, ...]]
_REASON = "boosted trees on the training data"
_EDGES_MAX = 2**53
_ROUNDED_MAX = 100
"""Pico-logits that rounding can make out of nothing; where a score falls by more, the trees did it."""


class Machine(Protocol):
    """What we need of a fitted LightGBM booster."""

    def predict(self, data: Table, *, raw_score: bool) -> NDArray[np.float64]:
        """Log-odds per row."""
        ...

    def dump_model(self) -> dict[str, Any]:
        """The trees: ``tree_info`` with nested ``tree_structure``."""
        ...


def train(rows: Rows, threats: Sequence[bool], weights: Sequence[float], *, additive: bool = True) -> Machine:
    """A fitted booster, the same for the same input. additive: held to our terms, directions and largest values; without, it
    is the one to compare with. Raises EnvironmentFault without the extra."""
    held: dict[str, Any] = {
        "interaction_constraints": [[LEARNT.index(BY), i] for i, name in enumerate(LEARNT) if name != BY],
        "monotone_constraints": [MONOTONE[name] for name in LEARNT],
    }
    return boost(SETTINGS | (held if additive else {}), ROUNDS, table(rows, capped=additive), threats, weights)


def boost(
    settings: dict[str, Any],
    rounds: int,
    cells: Table,
    threats: Sequence[bool],
    weights: Sequence[float],
    offsets: Sequence[float] | None = None,
) -> Machine:
    """A booster fitted with these settings. offsets: log-odds per row to start from, which its predictions then leave out.
    Raises EnvironmentFault without the extra."""
    try:
        import lightgbm  # noqa: PLC0415 - optional extra
    except ImportError:
        raise EnvironmentFault(
            "training needs LightGBM", where="countersign learn", todo="pip install 'countersign[learn]'"
        ) from None
    start = None if offsets is None else np.array(offsets, dtype=np.float64)
    truth = np.array(threats, dtype=np.float64)
    data = lightgbm.Dataset(cells, truth, weight=np.array(weights), init_score=start)
    booster: Any = lightgbm.train(settings, data, rounds)
    fitted: Machine = booster
    return fitted


def table(rows: Rows, *, capped: bool = True) -> Table:
    """Rows as the trainer wants them: learnt columns only, as floats, what is not known as 0. Shape (n, learnt)."""
    columns = [FEATURES.index(name) for name in LEARNT]
    most = [MOST[name] if capped else _EDGES_MAX for name in LEARNT]
    cells = [[max(0, min(int(row[column]), top)) for column, top in zip(columns, most, strict=True)] for row in rows]
    return np.array(cells, dtype=np.float64).reshape(len(rows), len(LEARNT))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf's value and where it lies: lowest and first higher whole number by column that the way to it split on."""

    value: float
    within: dict[int, tuple[int, int]] = field(default_factory=dict)


def leaves(node: dict[str, Any], within: dict[int, tuple[int, int]] | None = None) -> Iterator[Leaf]:
    """Every leaf of a tree that a whole number from 0 can reach: value <= cut is value < floor(cut) + 1."""
    box = within or {}
    if any(low >= high for low, high in box.values()):
        return
    if "split_index" not in node:
        yield Leaf(float(node["leaf_value"]), box)
        return
    column, edge = int(node["split_feature"]), math.floor(float(node["threshold"])) + 1
    low, high = box.get(column, (0, _EDGES_MAX))
    yield from leaves(node["left_child"], box | {column: (low, max(low, min(high, edge)))})
    yield from leaves(node["right_child"], box | {column: (max(low, min(high, edge)), high)})


def all_leaves(machine: Machine) -> list[Leaf]:
    """Those of all its trees, in the trees' order."""
    return [leaf for tree in machine.dump_model()["tree_info"] for leaf in leaves(tree["tree_structure"])]


def terms_of(machine: Machine, rows: Rows, weights: Sequence[float]) -> tuple[int, tuple[Term, ...]]:
    """(intercept, terms) of a fitted machine in pico-logits, equal to it but for rounding each cell once (1e-11 logit).

    rows, weights: what it was trained on. As the mean over them each pair's term is 0 at every level of ``BY``, whose own
    term has the mean at each level, so that a contribution says how far a value lies from what is usual.
    """
    every = all_leaves(machine)
    by = LEARNT.index(BY)
    by_edges = edges_of(every, by)
    seen, own = table(rows), np.zeros(len(by_edges) + 1, dtype=np.int64)
    pairs: list[PairTerm] = []
    for column, name in enumerate(LEARNT):
        if column != by:
            mine = [leaf for leaf in every if column in leaf.within]
            edges = edges_of(mine, column)
            cells = cells_of(mine, (by, by_edges), (column, edges))
            usual = np.round(np.average(_at(cells, edges, seen[:, column]), axis=1, weights=weights)).astype(np.int64)
            own += usual
            scores = tuple(tuple(row) for row in (cells - usual[:, None]).tolist())
            pairs.append(PairTerm(name, BY, ORIGIN, _REASON, by_edges, edges, scores))
    own += cells_of([leaf for leaf in every if not set(leaf.within) - {by}], (by, by_edges), (by, ()))[:, 0]
    own = _raised(own, pairs)
    intercept = round(float(np.average(own[np.searchsorted(by_edges, seen[:, by], side="right")], weights=weights)))
    levels = tuple(int(score) - intercept for score in own)
    return intercept, (*pairs, NumericTerm(BY, ORIGIN, _REASON, by_edges, levels, levels[0]))


def _raised(own: NDArray[np.int64], pairs: Sequence[PairTerm]) -> NDArray[np.int64]:
    """Scores of the levels of ``BY`` that let no score fall. The trees let none fall, but of equal sums one can come out a
    few pico-logits lower, as every cell is rounded by itself."""
    rows = [np.array(pair.scores, dtype=np.int64) for pair in pairs]
    least = np.diff(own) + sum(np.diff(row, axis=0).min(axis=1) for row in rows)
    lacking = np.where(least < -_ROUNDED_MAX, 0, np.maximum(0, -least))
    return own + np.concatenate(([0], np.cumsum(lacking)))


def edges_of(some: Sequence[Leaf], column: int) -> tuple[int, ...]:
    """Where they split a column: whole numbers from which the next step starts, ascending."""
    found = {edge for leaf in some for edge in leaf.within.get(column, ())}
    return tuple(sorted(found - {0, _EDGES_MAX}))


def cells_of(some: Sequence[Leaf], *axes: tuple[int, tuple[int, ...]]) -> NDArray[np.int64]:
    """Sum of the leaves over a grid in pico-logits; axes: (column, edges)."""
    grid = np.zeros([len(edges) + 1 for _, edges in axes])
    for leaf in some:
        grid[tuple(_span(edges, *leaf.within.get(column, (0, _EDGES_MAX))) for column, edges in axes)] += leaf.value
    return np.round(grid * PICO).astype(np.int64)


def _span(edges: tuple[int, ...], low: int, high: int) -> slice:
    """Bins from ``low`` up to ``high``, which are edges or the ends."""
    if not edges:
        return slice(0, 1)
    return slice(int(np.searchsorted(edges, low, side="right")), int(np.searchsorted(edges, high, side="left")) + 1)


def _at(cells: NDArray[np.int64], edges: tuple[int, ...], values: NDArray[np.float64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = cells[:, np.searchsorted(edges, values, side="right")]
    return found
