"""Problems found in a log, in words that name the entry and what was done to it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec

from countersign.ledger.compare import Difference, What
from countersign.ledger.tiles import TILE_WIDTH, entries_path, tile_path

PROBLEMS_MAX = 1_000
"""Most problems listed; the rest are counted."""


class Problem(msgspec.Struct, frozen=True, gc=False):
    """``index``: the (first) entry concerned, None when it is the log as a whole."""

    index: int | None
    what: str


class Problems:
    """Collects problems up to a limit. Differences between entries and hash tiles are worded when it is known which of
    the two leads to the signed root."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._more = 0
        self._open: list[Difference] = []
        self._tiles_hold = self._entries_hold = False

    def add(self, index: int | None, what: str) -> None:
        """List a problem; one that was listed already is not repeated."""
        problem = Problem(index, what)
        if len(self._problems) >= PROBLEMS_MAX:
            self._more += 1
        elif problem not in self._problems[-3:]:
            self._problems.append(problem)

    def entry_differences(self, found: Sequence[Difference]) -> None:
        """Differences between an entry bundle and its hash tile."""
        room = max(0, PROBLEMS_MAX - len(self._open))
        self._open.extend(found[:room])
        self._more += len(found[room:])

    def row_differences(self, found: Sequence[Difference], size: int) -> None:
        """Differences between the database and the hash tiles."""
        for each in found:
            self.add(each.index, f"database: {_row_story(each, size)}")

    def blame(self, *, tiles_hold: bool, entries_hold: bool) -> None:
        """Say which side leads to the signed root."""
        self._tiles_hold, self._entries_hold = tiles_hold, entries_hold

    def listed(self) -> tuple[Problem, ...]:
        """All problems, by entry, those of the whole log last."""
        stories = [Problem(each.index, self._entry_story(each)) for each in self._open]
        found = sorted([*stories, *self._problems], key=lambda p: (p.index is None, p.index or 0))
        cut = self._more + max(0, len(found) - PROBLEMS_MAX)
        more = [Problem(None, f"{cut} more problems are not listed")] if cut else []
        return (*found[:PROBLEMS_MAX], *more)

    def _entry_story(self, each: Difference) -> str:
        bundle = entries_path(each.index // TILE_WIDTH)
        if self._entries_hold and not self._tiles_hold:
            tile = tile_path(0, each.index // TILE_WIDTH)
            also = f" and {each.other}" if each.what is What.SWAPPED else ""
            return f"{tile}: leaf hash {each.index}{also} was changed; the entries are as signed"
        story = _STORIES[each.what].format(index=each.index, other=each.other)
        return f"{bundle}: {story}" if self._tiles_hold else f"{bundle}: {story} (or its hash tile was)"


_STORIES = {
    What.CHANGED: "entry {index} was changed: it does not hash to its leaf",
    What.SWAPPED: "entries {index} and {other} were swapped",
    What.DELETED: "entry {index} was deleted",
    What.INSERTED: "an entry was inserted at {index}",
    What.ENDS: "entries {index} to {other} are missing: it was truncated",
    What.EXTRA: "entries {index} to {other} do not belong there",
}


def _row_story(each: Difference, size: int) -> str:
    if each.what is What.CHANGED:
        return f"entry {each.index} was changed: it is not the sealed one"
    if each.what is What.ENDS:
        return f"ends before entry {each.index}, {size} are sealed: it was rolled back or truncated"
    return _STORIES[each.what].format(index=each.index, other=each.other)


def b64(raw: bytes) -> str:
    """Base64 as in a checkpoint."""
    return base64.b64encode(raw).decode()
