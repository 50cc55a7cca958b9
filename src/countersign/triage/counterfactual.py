"""The smallest set of feature changes that carries a score over the threshold.

Exact, because the terms are additive and each reads one feature: the most that a term can give is its slack to its own
best bin, so taking terms by falling slack reaches the threshold with the fewest changes, and no smaller set can. Of the
last term taken, the weakest sufficient bin is named, so that no more is asked than is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from countersign.model.verdicts import Change, Counterfactual
from countersign.triage.terms import Term

Bin = tuple[int, str]
"""Score and description."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one term can give. bins: by rising score, each score once."""

    feature: str
    bins: tuple[Bin, ...]


def reach(term: Term) -> Reach:
    """Precomputed once per model."""
    best: dict[int, str] = {}
    for score, text, _ in term.choices():
        best.setdefault(score, text)
    return Reach(term.feature, tuple(sorted(best.items())))


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
    best = max(slacks, default=0)
    alone = best >= need  # nearly always: the first of the strongest terms suffices, and nothing need be sorted
    order = (slacks.index(best),) if alone else sorted(range(len(slacks)), key=slacks.__getitem__, reverse=True)
    changes: list[Change] = []
    for i in order:
        if slacks[i] == 0:
            break
        score, text = reaches[i].bins[end] if slacks[i] < need else _weakest(reaches[i].bins, picos[i], need, down=down)
        changes.append(Change(reaches[i].feature, values[i], text, score - picos[i]))
        need -= abs(score - picos[i])
        if need <= 0:
            return Counterfactual(True, tuple(changes), total + sum(change.pico for change in changes))
    return Counterfactual(False, (), total)


def _weakest(bins: tuple[Bin, ...], pico: int, need: int, *, down: bool) -> Bin:
    if down:
        return next(b for b in reversed(bins) if b[0] <= pico - need)
    return next(b for b in bins if b[0] >= pico + need)
