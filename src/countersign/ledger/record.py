"""What the verifier reads: a published log, and the database that may stand beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from countersign.errors import VerificationError
from countersign.ledger.canonical import decode
from countersign.ledger.findings import Problem


class LogReader(Protocol):
    """A published log; each answers None for what is not there."""

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint."""
        ...

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A hash tile."""
        ...

    def bundle(self, index: int, width: int) -> bytes | None:
        """An entry bundle."""
        ...


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row of the database's ``entries``; ``time`` in milliseconds since the epoch."""

    index: int
    kind: str
    subject: str
    time: int
    data: bytes


class RecordReader(Protocol):
    """The database beside the log. Raises VerificationError where it cannot be read, EnvironmentFault if not at all."""

    def head(self) -> int | None:
        """How many entries the database says it has; None when it does not say."""
        ...

    def rows(self) -> Iterator[Row]:
        """All entries, by index."""
        ...

    def evidence(self) -> Iterator[tuple[str, bytes, bytes]]:
        """(digest in hex, salt, bytes) of all evidence."""
        ...

    def matter(self, digest: str) -> bytes | None:
        """Bytes kept under a commitment, unpacked; None when they are not there, or not what it commits to."""
        ...


class NoRecord:
    """A database that should be there and is not: it holds nothing."""

    def head(self) -> int | None:
        """It says nothing."""
        return None

    def rows(self) -> Iterator[Row]:
        """None."""
        return iter(())

    def evidence(self) -> Iterator[tuple[str, bytes, bytes]]:
        """None."""
        return iter(())

    def matter(self, _digest: str) -> bytes | None:
        """None."""
        return None


class Rows:
    """Database rows, read along with the log."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.read = 0
        self.ended = False  # set once the early end was reported
        self.fault = ""  # why reading stopped
        self.last = -1
        self._next = self._advance()

    def _advance(self) -> Row | None:
        try:
            row = next(self._rows, None)
        except VerificationError as error:
            self.fault = f"database: cannot be read after entry {self.last}: {error}"
            self.ended = True
            return None
        if row is not None:
            self.read += 1
            self.last = row.index
        return row

    def take(self, start: int, stop: int) -> list[Row | None]:
        """Rows of entries [start, stop) in their places, None for a gap; shorter where the database ends."""
        taken: list[Row | None] = []
        while self._next is not None and self._next.index < stop:
            row = self._next
            if row.index >= start:
                taken.extend([None] * (row.index - start - len(taken)))
                taken.append(row)
            self._next = self._advance()
        if self._next is not None:
            taken.extend([None] * (stop - start - len(taken)))
        return taken

    def rest(self) -> Iterator[Row]:
        """Whatever was not taken."""
        while self._next is not None:
            yield self._next
            self._next = self._advance()


def row_problem(row: Row, *, compared: bool) -> Problem | None:
    """Whether a row is an entry whose searchable columns say what the entry says.

    ``compared``: its bytes were compared with the sealed ones, so whatever is wrong with them was told already.
    """
    try:
        entry = decode(row.data)
    except VerificationError as error:
        return None if compared else Problem(row.index, f"database: entry {row.index}: {error}")
    if (row.kind, row.subject, row.time) == (entry.kind.value, entry.subject, entry.time):
        return None
    what = f"database: kind, subject or time beside entry {row.index} was changed: it says"
    return Problem(row.index, f"{what} {row.kind}, {row.subject}, {row.time}")
