"""What a replay counts: of each kind how many entries came out the same, which did not, and which cannot be replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from countersign.evaluate.replay_past import FAULTS, Unrecorded, worded
from countersign.model.entries import Kind

PROBLEMS_MAX = 100
DRAW, POLICY = "review draw", "policy request"
"""What is counted besides entries: part of them, so it adds nothing to the sums."""


class Problem(msgspec.Struct, frozen=True):
    """An entry that did not replay, and what differs."""

    index: int
    what: str
    kind: str = Kind.FINDING_DECIDED.value


class Tally(msgspec.Struct):
    """Of one kind: how many were replayed, how many gave the same bytes, and how many cannot be, by reason."""

    kind: str
    replayed: int = 0
    same: int = 0
    left: dict[str, int] = {}


class Result(msgspec.Struct, frozen=True):
    """How many entries were replayed, how many gave the same bytes, and how many cannot be replayed: in all, and by kind.
    Draws and policy requests are counted beside the entries that hold them."""

    replayed: int
    same: int
    left: int
    kinds: tuple[Tally, ...]
    problems: tuple[Problem, ...]


class Counts:
    """Filled entry by entry; those of several parts add up."""

    def __init__(self) -> None:
        self._kinds: dict[str, Tally] = {}
        self._problems: list[Problem] = []

    def add(self, kind: str, index: int, what: str, lacks: str = "") -> None:
        """One more of a kind: the same (""), different, or not to be replayed."""
        tally = self._kinds.setdefault(kind, Tally(kind))
        if lacks:
            tally.left[lacks] = tally.left.get(lacks, 0) + 1
            return
        tally.replayed += 1
        tally.same += not what
        if what and kind not in (DRAW, POLICY):
            self.problem(kind, index, what)

    def problem(self, kind: str, index: int, what: str) -> None:
        """Name an entry once."""
        if not self._problems or self._problems[-1].index != index:
            self._problems.append(Problem(index, what, kind))

    def parts(self) -> tuple[list[Tally], list[Problem]]:
        """What ``merge`` takes, from another process too."""
        return list(self._kinds.values()), self._problems[:PROBLEMS_MAX]

    def merge(self, tallies: Sequence[Tally], problems: Sequence[Problem]) -> None:
        """Add what another part counted."""
        for one in tallies:
            mine = self._kinds.setdefault(one.kind, Tally(one.kind))
            mine.replayed += one.replayed
            mine.same += one.same
            for why, number in one.left.items():
                mine.left[why] = mine.left.get(why, 0) + number
        self._problems += problems

    def result(self) -> Result:
        """All kinds, entries first; the first problems by index."""
        kinds = sorted(self._kinds.values(), key=lambda one: (one.kind in (DRAW, POLICY), one.kind))
        entries = [one for one in kinds if one.kind not in (DRAW, POLICY)]
        return Result(
            sum(one.replayed for one in entries),
            sum(one.same for one in entries),
            sum(sum(one.left.values()) for one in entries),
            tuple(kinds),
            tuple(sorted(self._problems, key=lambda one: one.index)[:PROBLEMS_MAX]),
        )


def tried(differs: Callable[[], str]) -> tuple[str, str]:
    """(what differs, why it cannot be said): at most one of them is not empty."""
    try:
        return differs(), ""
    except Unrecorded as lacking:
        return "", str(lacking)
    except FAULTS as error:
        return worded(error), ""
