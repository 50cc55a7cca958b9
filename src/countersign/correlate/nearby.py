"""Who else is in trouble: findings that are undecided or threats, counted by anchor and for the whole site, in windows.

What the case gate minds beyond the case itself: trouble within an hour before or after, on the same anchor or, for a
pattern with few reviews, anywhere on the site. Pure; the adapter loads the cells that a micro-batch can ask about.
"""

from __future__ import annotations

from collections.abc import Iterable

from countersign.model.findings import FOLD_WINDOW_MS
from countersign.model.verdicts import Label

HOUR_MS = 3_600_000
WINDOWS = HOUR_MS // FOLD_WINDOW_MS
SITE = "*"
KINDS = (Label.INSUFFICIENT, Label.THREAT)
LEVEL = {Label.BENIGN: 0, Label.INSUFFICIENT: 1, Label.THREAT: 2}
"""How trouble is written in rows."""
BY_LEVEL = tuple(LEVEL)

Cell = list[int]


class Nearby:
    """Counts [undecided, threats] per anchor (``SITE`` for all) and folding window. Windows are whole numbers of
    ``FOLD_WINDOW_MS`` since the epoch: all alerts of one finding lie within one."""

    def __init__(self, cells: Iterable[tuple[str, int, int, int]] = ()) -> None:
        """cells: (anchor, window, level 1 or 2, findings)."""
        self._cells: dict[str, dict[int, Cell]] = {}
        for anchor, window, level, findings in cells:
            self._cell(anchor, window)[level - 1] += findings

    def change(self, anchor: str, window: int, before: Label | None, after: Label) -> None:
        """A finding's trouble turns from ``before`` (None: it is new) into ``after``."""
        old, new = 0 if before is None else LEVEL[before], LEVEL[after]
        if old != new:
            for level, by in ((old, -1), (new, 1)):
                for key in (SITE, anchor):
                    if level and key:
                        self._cell(key, window)[level - 1] += by

    def count(self, anchor: str, window: int) -> tuple[int, int]:
        """(undecided, threats) within an hour of the window."""
        cells = self._cells.get(anchor)
        if not cells:
            return 0, 0
        if len(cells) <= 2 * WINDOWS:
            near = [cell for at, cell in cells.items() if -WINDOWS <= at - window <= WINDOWS]
        else:
            near = [cells[at] for at in range(window - WINDOWS, window + WINDOWS + 1) if at in cells]
        return sum([cell[0] for cell in near]), sum([cell[1] for cell in near])

    def _cell(self, anchor: str, window: int) -> Cell:
        return self._cells.setdefault(anchor, {}).setdefault(window, [0, 0])


def window_of(first_seen_ms: int) -> int:
    """Number of the folding window."""
    return first_seen_ms // FOLD_WINDOW_MS
