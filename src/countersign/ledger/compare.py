"""What happened to a stretch of entries: compare their leaf hashes with the hashes that were sealed.

Pure and positional: ``have`` is what a bundle or the database holds now, ``want`` what the level-0 hash tile says. The
answer names the smallest story that explains the difference: changed, swapped, deleted, inserted, cut short.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class What(StrEnum):
    """Kinds of difference."""

    CHANGED = "changed"
    SWAPPED = "swapped"
    DELETED = "deleted"
    INSERTED = "inserted"
    ENDS = "ends"
    EXTRA = "extra"


class Difference(msgspec.Struct, frozen=True, gc=False):
    """``what`` happened at entry ``index``; ``other`` is the partner of a swap, or the last entry of a range."""

    what: What
    index: int
    other: int


Hashes = Sequence[bytes | None]


def differences(have: Hashes, want: Sequence[bytes], start: int, moved: int = 0) -> tuple[list[Difference], int]:
    """(differences, moved) for one stretch that begins at entry ``start``.

    ``moved`` carries over from the stretch before: 1 when all entries stand one place too early since a deletion, -1 one
    too late since an insertion, else 0; a stretch that is merely moved on is not told again. None in ``have`` is a gap.
    """
    if list(have) == list(want):
        return [], 0
    if moved and _is_moved(have, want, 0, moved):
        return [], moved
    first = next((i for i, (a, b) in enumerate(zip(have, want, strict=False)) if a != b), min(len(have), len(want)))
    if first == len(have):
        return [Difference(What.ENDS, start + first, start + len(want) - 1)], 0
    if first == len(want):
        return [Difference(What.EXTRA, start + first, start + len(have) - 1)], 0
    if len(want) - first > 1 and None not in have:
        for shift, what in ((1, What.DELETED), (-1, What.INSERTED)):
            if _is_moved(have, want, first, shift):
                return [Difference(what, start + first, start + first)], shift
    return list(_one_by_one(have, want, start)), 0


def _is_moved(have: Hashes, want: Sequence[bytes], first: int, shift: int) -> bool:
    """Whether from ``first`` on everything stands one place early (1) or late (-1); what fell off an end is unknown."""
    mine, theirs = (have[first:], want[first + 1 :]) if shift == 1 else (have[first + 1 :], want[first:])
    both = min(len(mine), len(theirs))
    return 0 < both >= max(len(mine), len(theirs)) - 1 and list(mine[:both]) == list(theirs[:both])


def _one_by_one(have: Hashes, want: Sequence[bytes], start: int) -> list[Difference]:
    wrong = [i for i, (a, b) in enumerate(zip(have, want, strict=False)) if a != b]
    wanted_at = {want[i]: i for i in wrong}
    told: set[int] = set()
    found = []
    for i in wrong:
        mine = have[i]
        partner = wanted_at.get(mine) if mine is not None else None
        if i in told:
            continue
        if mine is None:
            found.append(Difference(What.DELETED, start + i, start + i))
        elif partner is not None and partner > i and have[partner] == want[i]:
            found.append(Difference(What.SWAPPED, start + i, start + partner))
            told.add(partner)
        else:
            found.append(Difference(What.CHANGED, start + i, start + i))
    if len(have) < len(want):
        found.append(Difference(What.ENDS, start + len(have), start + len(want) - 1))
    elif len(have) > len(want):
        found.append(Difference(What.EXTRA, start + len(want), start + len(have) - 1))
    return found
