"""Erasures as the log tells them: which pieces of evidence are gone or were replaced, and the entry that says so.

An entry commits to its evidence for ever. When a person is erased, pieces that named them are replaced by pieces that do
not, or go; ``person.erased`` lists the commitments, so that a piece that is missing without such an entry stays a problem,
and so does one that an entry says is gone and that is still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from countersign.ledger.findings import Problem
from countersign.model.entries import Entry, Kind

LISTED_MAX = 300
"""Most commitments and pseudonyms in one entry, which is bounded; more of them stand in further entries."""
Pair = tuple[str, str]
"""Commitment of a piece, and of the one in its place, "" when there is none."""


class Erasure(msgspec.Struct, frozen=True):
    """One ``person.erased``. subject: the pseudonym. pieces: how many pieces of evidence it replaced or took
    away."""

    entry: int
    subject: str
    pieces: int


def bodies(reason: str, counts: Mapping[str, int], pseudonyms: Sequence[str], pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Bodies of the entries of one erasure: lists go on from one to the next, everything else stands in the first."""
    parts = max(1, *(-(-len(some) // LISTED_MAX) for some in (pseudonyms, pairs)))
    cuts = [slice(number * LISTED_MAX, (number + 1) * LISTED_MAX) for number in range(parts)]
    found: list[dict[str, Any]] = [
        {
            "part": number,
            "parts": parts,
            "pseudonyms": list(pseudonyms[cut]),
            "evidence": [list(pair) for pair in pairs[cut]],
        }
        for number, cut in enumerate(cuts, 1)
    ]
    found[0] |= {"reason": reason, "counts": dict(counts)}
    return found


def pairs(entry: Entry) -> Iterator[Pair]:
    """What an entry says became of evidence; nothing for entries of other kinds."""
    if entry.kind is not Kind.PERSON_ERASED:
        return
    listed = entry.body.get("evidence", ())
    for pair in listed if isinstance(listed, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair):
            yield pair[0], pair[1]


class Erasures:
    """What a verifier learns of erasures as it reads the log, and what remains unexplained at its end."""

    def __init__(self) -> None:
        self._missing: dict[str, int] = {}
        self._replaced: dict[str, tuple[str, int]] = {}
        self._subjects: dict[int, str] = {}
        self._pieces: Counter[int] = Counter()

    def miss(self, index: int, digest: str) -> None:
        """The piece that an entry commits to is not there."""
        self._missing.setdefault(digest, index)

    def note(self, index: int, entry: Entry) -> None:
        """Take in one entry, in the log's order."""
        for old, new in pairs(entry):
            self._replaced.setdefault(old, (new, index))
            self._pieces[index] += 1
        if entry.kind is Kind.PERSON_ERASED:
            self._subjects[index] = entry.subject

    def problems(self, held: Container[str]) -> Iterator[Problem]:
        """Missing pieces that no erasure accounts for, pieces in their place that are missing, and pieces that an erasure
        says are gone. held: commitments of the evidence that is there."""
        for digest, index in self._missing.items():
            if digest not in self._replaced:
                yield Problem(index, f"evidence {digest} of entry {index} is missing: it was deleted")
        for old, (new, index) in self._replaced.items():
            if old in held:
                yield Problem(index, f"evidence {old} is still there, though entry {index} says that it was erased")
            if new and new not in held and new not in self._replaced:
                yield Problem(index, f"evidence {new}, which entry {index} put in place of {old}, is missing")

    def accounted(self) -> int:
        """How many missing pieces erasures account for."""
        return sum(digest in self._replaced for digest in self._missing)

    def erasures(self) -> tuple[Erasure, ...]:
        """The entries that tell of erasures."""
        return tuple(Erasure(index, subject, self._pieces[index]) for index, subject in self._subjects.items())
