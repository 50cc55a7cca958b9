"""The smallest set of feature changes that carries a score over the threshold.

Exact, because at one level of the feature in whose light others are read the terms are additive and each reads one
feature: the most that a term can give is its slack to its own best bin, so taking terms by falling slack reaches the
threshold with the fewest changes, and no smaller set can. Of the last term taken, the weakest sufficient bin is named, so
that no more is asked than is needed. Changing the level is one more change, worth trying to its extreme alone: no score
falls when it rises (``triage.model`` refuses other files).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from countersign.model.verdicts import Change, Counterfactual
from countersign.triage.terms import PairTerm, Picos, Plain, Term

FEWEST_WITH_LEVEL = 2
"""Changes where the level alone is not enough."""
Bin = tuple[int, str]
"""Score and description."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one term can give. bins: by rising score, each score once."""

    feature: str
    bins: tuple[Bin, ...]


def reach(term: Term, level: int = 0) -> Reach:
    """Precomputed once per model; of a pair, at one level."""
    best: dict[int, str] = {}
    for score, text, _ in term.choices(level) if isinstance(term, PairTerm) else term.choices():
        best.setdefault(score, text)
    return Reach(term.feature, tuple(sorted(best.items())))


@dataclass(frozen=True, slots=True)
class Level:
    """The terms as they are at one level of the feature ``by``. place: its own term, -1 without such a feature. text:
    the level in words. reaches: by term; its own has no slack here."""

    place: int
    text: str
    terms: tuple[Plain, ...]
    reaches: tuple[Reach, ...]


def level_of(terms: Sequence[Term], level: int, place: int) -> Level:
    """Precomputed once per model and level; place -1 when no term is a pair."""
    plain = tuple(term.given(level) if isinstance(term, PairTerm) else term for term in terms)
    own = plain[place].choices()[level + 1] if place >= 0 else None  # the first choice is "not known"
    reaches = [reach(term, level) for term in terms]
    if own is not None:
        reaches[place] = Reach(plain[place].feature, ((own[0], own[1]),))
    return Level(place, own[1] if own else "", plain, tuple(reaches))


def ends_of(levels: Sequence[Level]) -> Picos:
    """Lowest and highest score of every term at every level (levels, 2, terms). Precomputed once per model."""
    rows = [[[r.bins[end][0] for r in level.reaches] for end in (0, -1)] for level in levels]
    return np.array(rows, dtype=np.int64)


def strongest(
    totals: Picos, shares: Picos, here: NDArray[np.intp], ends: Picos, threshold: int
) -> tuple[list[int], list[int]]:
    """Of every row (scores, shares, level) the first of the terms that can give most, and how much."""
    slacks = np.abs(shares - ends[here, (totals <= threshold).astype(np.intp)])
    first = slacks.argmax(axis=1)
    return first.tolist(), slacks[np.arange(len(first)), first].tolist()


def alone(total: int, pico: int, value: int | str, reach: Reach, slack: int, threshold: int) -> Counterfactual | None:
    """The change of the strongest term if that is enough, as it nearly always is: no other set need be looked for."""
    down = total > threshold
    need = total - threshold if down else threshold + 1 - total
    if slack < need:
        return None
    score, text = _weakest(reach.bins, pico, need, down=down)
    return Counterfactual(True, (Change(reach.feature, value, text, score - pico),), total + score - pico)


def across_levels(
    total: int, picos: Sequence[int], values: Sequence[int | str], levels: Sequence[Level], here: int, threshold: int
) -> Counterfactual:
    """The same where a level may change as well, which is one change more and moves what other terms give."""
    best = counterfactual(total, picos, values, levels[here].reaches, threshold)
    end = 0 if total > threshold else len(levels) - 1
    if len(best.changes) == 1 or here == end:
        return best
    moved, change = _move(picos, values, levels[here], levels[end])
    if (total + change.pico > threshold) != (total > threshold):
        return _weakest_level(total, picos, values, levels, here, threshold)
    if len(best.changes) == FEWEST_WITH_LEVEL:
        return best
    rest = counterfactual(total + change.pico, moved, values, levels[end].reaches, threshold)
    if rest.possible and not 0 < len(best.changes) <= len(rest.changes) + 1:
        return Counterfactual(True, (change, *rest.changes), rest.pico)
    return best


def _weakest_level(
    total: int, picos: Sequence[int], values: Sequence[int | str], levels: Sequence[Level], here: int, threshold: int
) -> Counterfactual:
    """The nearest level that alone is enough; the outermost is."""
    for there in range(here - 1, -1, -1) if total > threshold else range(here + 1, len(levels)):
        change = _move(picos, values, levels[here], levels[there])[1]
        if (total + change.pico > threshold) != (total > threshold):
            break
    return Counterfactual(True, (change,), total + change.pico)


def _move(picos: Sequence[int], values: Sequence[int | str], here: Level, there: Level) -> tuple[list[int], Change]:
    """Shares after the change of level, and the change: its own share and what it moves in others."""
    moved = [
        pico if old is new else new.pico(value)
        for pico, value, old, new in zip(picos, values, here.terms, there.terms, strict=True)
    ]
    place = there.place
    moved[place] = there.reaches[place].bins[0][0]
    return moved, Change(there.reaches[place].feature, values[place], there.text, sum(moved) - sum(picos))


def counterfactual(
    total: int, picos: Sequence[int], values: Sequence[int | str], reaches: Sequence[Reach], threshold: int
) -> Counterfactual:
    """Changes that bring ``total`` from above ``threshold`` to it or below, or from there to above it.

    picos, values, reaches: one per term, in the same order. A score equal to the threshold counts as below.
    """
    down = total > threshold
    need = total - threshold if down else threshold + 1 - total
    end = 0 if down else -1
    slacks = [abs(pico - r.bins[end][0]) for pico, r in zip(picos, reaches, strict=True)]
    changes: list[Change] = []
    for i in sorted(range(len(slacks)), key=slacks.__getitem__, reverse=True):
        if slacks[i] == 0:
            break
        score, text = reaches[i].bins[end] if slacks[i] < need else _weakest(reaches[i].bins, picos[i], need, down=down)
        changes.append(Change(reaches[i].feature, values[i], text, score - picos[i]))
        need -= abs(score - picos[i])
        if need <= 0:
            return Counterfactual(True, tuple(changes), total + sum(change.pico for change in changes))
    return Counterfactual(False, (), total)


def _weakest(bins: tuple[Bin, ...], pico: int, need: int, *, down: bool) -> Bin:
    """Of the bins that give what is needed the one nearest to ``pico``; a description sorts after the empty one."""
    return bins[bisect_left(bins, (pico - need + 1, "")) - 1] if down else bins[bisect_left(bins, (pico + need, ""))]
