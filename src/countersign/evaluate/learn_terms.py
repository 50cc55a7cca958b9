"""What a site's labels add to the prior, term by term: boosted trees of one feature each, started at the prior's score.

The prior's score is the offset, so with few or dull labels nothing is added and the prior stands. Both parts are tables of
the same features; their sum is one table each, which keeps the contributions exact and the counterfactual minimal. To a
prior's pair the same is added at every level of the feature in whose light it is read.
Directions are those that an attacker cannot turn round (P10): whatever he can make more of never lowers the score.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from countersign.errors import VerificationError
from countersign.evaluate.trainer import Machine, Rows, Table, all_leaves, boost, cells_of, edges_of
from countersign.model.verdicts import PICO
from countersign.triage.features import CATEGORICAL, FEATURES
from countersign.triage.terms import MISSING, CategoricalTerm, NumericTerm, PairTerm, Plain, Term

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
SHARES = frozenset({"pattern_share_ppm", "rule_share_ppm"})
"""Features whose -1, "not yet judged", says something that is neither more nor less. Of all others -1 reads as 0."""
SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 4,
    "max_bin": 16,
    "min_data_in_leaf": 10,
    "lambda_l2": 3.0,
    "min_sum_hessian_in_leaf": 0.1,
    "max_delta_step": 1.0,
    "seed": 7,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
"""Few bins and leaves, a penalty and short steps keep it from running away where a few threats can be told apart."""
ROUNDS = 200
WORD_FINDINGS_MIN, WORDS_MAX = 10, 32
"""Fewest findings with a word that gets a score of its own, and most such words of a feature, the most frequent."""
THREATS_MIN = 5
"""Fewer threats teach nothing: the prior stands."""
LOGITS_MAX = 12.0
"""A fit with a larger share than this ran away, and the prior stands."""
ORIGIN = "site"
TRAINER = "lightgbm"
EQUALITY_LOGITS = 1e-9
_VALUE_MAX = 2**40
"""Larger values are taken as this one: whole numbers stay exact as floats, and halves between them too."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What is added: to the intercept, and per feature, in pico-logits."""

    intercept: int = 0
    terms: tuple[Plain, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """What the trees read of a feature: its value from 0; or 1 for one word; or 1 for a gap. way: as in DIRECTIONS."""

    feature: str
    way: int
    word: str | None = None
    gap: bool = False

    def read(self, value: int | str) -> int:
        """A row's value of the feature as the trees see it."""
        if self.word is not None:
            return int(value == self.word)
        number = int(value)
        if self.gap:
            return int(number <= MISSING)
        return min(max(0, number + (self.feature in LOWEST)), _VALUE_MAX)


@dataclass(frozen=True, slots=True)
class Found:
    """What the trees say of a column: steps in pico-logits."""

    column: Column
    edges: tuple[int, ...]
    scores: tuple[int, ...]


def learn(rows: Rows, threats: Sequence[bool], weights: Sequence[float], offsets: Sequence[int]) -> Delta:
    """Fit to the labels what the offsets (pico-logits) do not say already; nothing when there are too few to fit.

    Raises EnvironmentFault without the extra ``learn``, VerificationError unless our tables equal the trainer's."""
    if min(sum(threats), len(threats) - sum(threats)) < THREATS_MIN:
        return Delta()
    columns = columns_of(rows)
    cells = _table(columns, rows)
    held = {
        "interaction_constraints": [[place] for place in range(len(columns))],
        "monotone_constraints": [column.way for column in columns],
    }
    machine = boost(SETTINGS | held, ROUNDS, cells, threats, weights, [offset / PICO for offset in offsets])
    delta = _delta(machine, columns, rows, weights)
    _check(delta, rows, machine.predict(cells, raw_score=True))
    tables = [score for term in delta.terms for score, _, _ in term.choices()]
    return delta if max(map(abs, (delta.intercept, *tables))) <= LOGITS_MAX * PICO else Delta()


def columns_of(rows: Rows) -> tuple[Column, ...]:
    """One or two for each feature with a number, one for each word seen often enough."""
    return tuple(column for name, way in DIRECTIONS.items() for column in _reading(name, way, rows))


def _reading(name: str, way: int, rows: Rows) -> Iterator[Column]:
    if name in CATEGORICAL:
        counts = Counter(str(row[FEATURES.index(name)]) for row in rows)
        often = sorted((-count, word) for word, count in counts.items() if count >= WORD_FINDINGS_MIN)
        yield from (Column(name, 0, word) for _, word in often[:WORDS_MAX])
        return
    yield Column(name, way)
    if name in SHARES:
        yield Column(name, 0, gap=True)


def _table(columns: Sequence[Column], rows: Rows) -> Table:
    """Shape (n, columns)."""
    places = [FEATURES.index(column.feature) for column in columns]
    cells = [[column.read(row[place]) for column, place in zip(columns, places, strict=True)] for row in rows]
    return np.array(cells, dtype=np.float64).reshape(len(rows), len(columns))


def _delta(machine: Machine, columns: Sequence[Column], rows: Rows, weights: Sequence[float]) -> Delta:
    """The trees as tables, each with a mean of 0 over the rows: a contribution says how far a value lies from the usual."""
    every = all_leaves(machine)
    found: dict[str, list[Found]] = {name: [] for name in DIRECTIONS}
    for place, column in enumerate(columns):
        mine = [leaf for leaf in every if place in leaf.within]
        edges = edges_of(mine, place)
        found[column.feature].append(Found(column, edges, tuple(cells_of(mine, (place, edges)).tolist())))
    intercept = round(sum(leaf.value for leaf in every if not leaf.within) * PICO)
    terms: list[Plain] = []
    for name, parts in found.items():
        term = _term(name, parts)
        usual = round(float(np.average(term.column([row[FEATURES.index(name)] for row in rows]), weights=weights)))
        intercept += usual
        terms.append(_less(term, usual))
    return Delta(intercept, tuple(terms))


def _term(name: str, parts: Sequence[Found]) -> Plain:
    """One table of a feature's columns. Of a column of 0 and 1 the first score is off, the last is on."""
    if name in CATEGORICAL:
        other = sum(part.scores[0] for part in parts)
        named = {str(part.column.word): other + part.scores[-1] - part.scores[0] for part in parts}
        return CategoricalTerm(name, ORIGIN, "", dict(sorted(named.items())), other)
    value, *gap = parts
    if name in LOWEST:
        return _lowest(value)
    known, missing = sum(part.scores[0] for part in gap), sum(part.scores[-1] for part in gap)
    scores = tuple(score + known for score in value.scores)
    return NumericTerm(name, ORIGIN, "", value.edges, scores, value.scores[0] + missing)


def _lowest(value: Found) -> NumericTerm:
    """The same with every number one lower, so that what was 0 is "not known"."""
    drop = int(value.edges[:1] == (1,))
    edges = tuple(edge - 1 for edge in value.edges[drop:])
    return NumericTerm(value.column.feature, ORIGIN, "", edges, value.scores[drop:], value.scores[0])


def _less(term: Plain, usual: int) -> Plain:
    if isinstance(term, NumericTerm):
        scores = tuple(score - usual for score in term.scores)
        return msgspec.structs.replace(term, scores=scores, missing=term.missing - usual)
    named = {word: score - usual for word, score in term.scores.items()}
    return msgspec.structs.replace(term, scores=named, other=term.other - usual)


def _check(delta: Delta, rows: Rows, theirs: Table) -> None:
    ours = np.full(len(rows), delta.intercept, dtype=np.int64)
    for term in delta.terms:
        ours += term.column([row[FEATURES.index(term.feature)] for row in rows])
    worst = float(np.max(np.abs(ours / PICO - theirs)))
    if worst > EQUALITY_LOGITS:
        raise VerificationError(f"our score differs from the trainer's by {worst:.3g} logit", where="learn")


def merge(prior: Sequence[Term], added: Sequence[Plain], reason: str) -> tuple[Term, ...]:
    """One term per feature: the prior's with what was added to it; those that nothing was added to stay as they are.

    Raises VerificationError where no such term can be: a word to a number, or a gap apart to a pair, which knows none."""
    more = {term.feature: term for term in added if _says(term)}
    kept = [_sum(term, more.pop(term.feature), reason) if term.feature in more else term for term in prior]
    return _levelled((*kept, *(msgspec.structs.replace(term, origin=ORIGIN, reason=reason) for term in more.values())))


def _says(term: Plain) -> bool:
    return any(score for score, _, _ in term.choices())


def _sum(one: Term, two: Plain, reason: str) -> Term:
    if isinstance(one, PairTerm) and isinstance(two, NumericTerm):
        if two.missing != two.scores[0]:
            raise VerificationError("what is not known must read as 0 where a pair reads it", where=one.feature)
        levels = [_numbers(one.given(level), two, reason) for level in range(len(one.scores))]
        scores = tuple(term.scores for term in levels)
        return PairTerm(one.feature, one.by, ORIGIN, reason, one.by_edges, levels[0].edges, scores)
    if isinstance(one, NumericTerm) and isinstance(two, NumericTerm):
        return _numbers(one, two, reason)
    if isinstance(one, CategoricalTerm) and isinstance(two, CategoricalTerm):
        words = sorted({*one.scores, *two.scores})
        named = {word: one.pico(word) + two.pico(word) for word in words}
        return CategoricalTerm(one.feature, ORIGIN, reason, named, one.other + two.other)
    raise VerificationError("a feature is a number here and a word there", where=one.feature)


def _numbers(one: NumericTerm, two: NumericTerm, reason: str) -> NumericTerm:
    edges = tuple(sorted({*one.edges, *two.edges}))
    scores = tuple(one.pico(value) + two.pico(value) for value in (0, *edges))
    return NumericTerm(one.feature, ORIGIN, reason, edges, scores, one.missing + two.missing)


def _levelled(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Pairs with a level for each step of the feature that they share, which may have got more steps."""
    edges = {term.feature: term.edges for term in terms if isinstance(term, NumericTerm)}
    return tuple(_refined(term, edges.get(term.by, ())) if isinstance(term, PairTerm) else term for term in terms)


def _refined(pair: PairTerm, more: Sequence[int]) -> PairTerm:
    edges = tuple(sorted({*pair.by_edges, *more}))
    scores = tuple(pair.scores[bisect_right(pair.by_edges, value)] for value in (0, *edges))
    return msgspec.structs.replace(pair, by_edges=edges, scores=scores)
