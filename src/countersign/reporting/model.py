"""A report as values: sections of statements, each of which names the ledger entries that carry it.

A statement without an entry cannot be made: ``Claim`` refuses it, unless it says that no entry shows something. What a
report says about itself or about a standard stands in ``Section.about`` and ``Report.notes``, apart from what was recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from countersign.errors import UsageError
from countersign.model.entries import Entry

LEAF_PREFIX = b"\x00"
"""RFC 6962 section 2.1: leaf hash = SHA-256(0x00 ‖ entry)."""
ROWS_MAX = 50
"""Most rows of a case's longest lists; a statement says where it holds more."""


class Cited(msgspec.Struct, frozen=True):
    """One entry of the ledger with its canonical bytes. case: the case it was filed under, "" for none."""

    index: int
    entry: Entry
    data: bytes
    case: str = ""

    @property
    def digest(self) -> str:
        """Its leaf hash (RFC 6962), hex."""
        return hashlib.sha256(LEAF_PREFIX + self.data).hexdigest()


class Line(msgspec.Struct, frozen=True):
    """A row under a statement: its cells, and the entries that carry it."""

    cells: tuple[str, ...]
    cites: tuple[int, ...] = ()


class Claim(msgspec.Struct, frozen=True):
    """One statement. cites: indices of the entries that carry it. pieces: commitments of matter beside the log that it rests
    on as well. columns, lines: what it lists. absent: it says that no entry shows something, and cites none. lead: a few
    words above it, where something new begins. bars: of a column of signed weights, so that renderers may draw it; its
    place among the columns, -1 for none."""

    text: str
    cites: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    absent: bool = False
    bars: int = -1
    lead: str = ""

    def __post_init__(self) -> None:
        """No statement without an entry."""
        if not self.absent and not self.carriers():
            raise UsageError(f"a report may not say without an entry: {self.text[:80]}")
        if self.absent and self.carriers():
            raise UsageError(f"what no entry shows cannot name one: {self.text[:80]}")

    def carriers(self) -> set[int]:
        """Every entry that carries it or one of its lines."""
        return set(self.cites) | {index for line in self.lines for index in line.cites}


class Section(msgspec.Struct, frozen=True):
    """What was recorded about one matter. part: the article or criterion, "" for none. about: what it asks for, in our own
    words, or how to read what follows."""

    title: str
    claims: tuple[Claim, ...]
    part: str = ""
    about: str = ""


class Piece(msgspec.Struct, frozen=True):
    """Matter beside the log: its commitment is SHA-256(salt ‖ data). plain: name and bytes of what it holds, in a form that
    can be read, empty when it is left as it is. what: in words. personal: it may name persons."""

    digest: str
    what: str
    salt: bytes
    data: bytes
    plain: tuple[tuple[str, bytes], ...] = ()
    personal: bool = False


class Report(msgspec.Struct, frozen=True):
    """facts: label and value, for the head. notes: what to know before reading."""

    name: str
    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]

    def claims(self) -> Iterator[Claim]:
        """Every statement."""
        for section in self.sections:
            yield from section.claims

    def cited(self) -> list[int]:
        """Indices of every entry that a statement rests on, in order."""
        return sorted({index for claim in self.claims() for index in claim.carriers()})

    def pieces(self) -> list[str]:
        """Commitments of all matter that a statement rests on."""
        return sorted({digest for claim in self.claims() for digest in claim.pieces})


def absent(what: str) -> Claim:
    """The statement that nothing shows it."""
    return Claim(what, absent=True)


def indices(found: Sequence[Cited]) -> tuple[int, ...]:
    """Where they stand."""
    return tuple(one.index for one in found)


def numbers(count: int, noun: str, plural: str = "") -> str:
    """``1 entry``, ``2,310 entries``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
