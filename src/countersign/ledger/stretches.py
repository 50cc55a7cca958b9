"""One bundle of a log with its hash tile, looked at by itself: everything that needs no other bundle.

Pure, so that any number of processes may do it at once; what they find is put together in the order of the log
(``verify``), which makes it the same whoever looked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import msgspec

from countersign.errors import UsageError, VerificationError
from countersign.ledger import decisions
from countersign.ledger.bodies import reference
from countersign.ledger.canonical import decode
from countersign.ledger.findings import Problem
from countersign.ledger.judging import Told
from countersign.ledger.merkle import leaf_hashes
from countersign.ledger.record import LogReader, Row
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, decode_bundle, encode_bundle, entries_path, tile_path
from countersign.model.entries import Actor, Entry, Kind

AGENT = "agent"
ASKED = "asked"
"""Where a run of decisions names the sources that were asked for each."""


class Task(msgspec.Struct, frozen=True):
    """What to look for. size: entries that the checkpoint covers. watched: kinds that must be handed on whole. spoilt:
    digests of evidence that does not match. beside: whether a database is compared as well."""

    size: int
    watched: frozenset[str]
    spoilt: tuple[bytes, ...] = ()
    beside: bool = False

    @property
    def bundles(self) -> int:
        """How many stretches there are."""
        return -(-self.size // TILE_WIDTH)


class Stretch(msgspec.Struct):
    """What one bundle comes to. leaves: hashes of its tile, entries: those of its entries, each 32 bytes; None when they
    cannot be read. bundle: SHA-256 of the bundle, columns: of what the database says beside each entry, b"" when nobody
    asked or an entry is not in form. checked: entries looked at. references: (entry, evidence that it rests on)."""

    start: int
    width: int
    leaves: bytes | None = None
    entries: bytes | None = None
    bundle: bytes = b""
    columns: bytes = b""
    checked: int = 0
    tiles: int = 0
    problems: list[Problem] = []
    told: list[Told] = []
    references: list[tuple[int, str]] = []


Spread = Callable[[Task], Iterator[Stretch]]
"""Looks at every stretch of a task, and gives them in their order."""


def in_turn(log: LogReader) -> Spread:
    """One after the other, here."""
    return lambda task: (look(log, task, number) for number in range(task.bundles))


def look(log: LogReader, task: Task, number: int) -> Stretch:
    """Bundle ``number`` of the log."""
    start = number * TILE_WIDTH
    found = Stretch(start, min(TILE_WIDTH, task.size - start))
    data = log.bundle(number, found.width)
    entries = _entries(found, number, data)
    found.leaves = _leaves(found, number, log.tile(0, number, found.width))
    if entries is None:
        return found
    found.entries = b"".join(leaf_hashes(entries))
    rows = _each(found, task, entries)
    if task.beside and data is not None:
        found.bundle = sha256(data).digest()
        found.columns = columns(rows) if len(rows) == len(entries) else b""
    return found


def are_same(found: Stretch, rows: Sequence[Row | None]) -> bool:
    """Whether the database holds the very entries of the bundle and says of each what it says itself."""
    held = [row for row in rows if row is not None]
    if len(held) != found.width or len(rows) != found.width or not found.columns:
        return False
    try:
        bundle = encode_bundle([row.data for row in held])
        said = columns([(row.kind, row.subject, row.time) for row in held])
    except (UsageError, TypeError, ValueError, OverflowError):  # rows that no entry could be
        return False
    return sha256(bundle).digest() == found.bundle and said == found.columns


def columns(rows: Sequence[tuple[str, str, int]]) -> bytes:
    """SHA-256 over (kind, subject, time) of consecutive entries."""
    return sha256(_packed(rows)).digest()


_packed = msgspec.msgpack.Encoder().encode


def split(hashes: bytes) -> list[bytes]:
    """Hashes one by one."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


def _entries(found: Stretch, number: int, data: bytes | None) -> list[bytes] | None:
    path, start = entries_path(number, found.width), found.start
    if data is None:
        what = f"{path} is missing: entries {start} to {start + found.width - 1}"
        found.problems.append(Problem(start, what))
        return None
    entries, rest = decode_bundle(data)
    if rest:
        at = start + len(entries)
        found.problems.append(Problem(at, f"{path} is truncated or damaged: it ends inside entry {at}"))
    return entries


def _leaves(found: Stretch, number: int, data: bytes | None) -> bytes | None:
    path, start, width = tile_path(0, number, found.width), found.start, found.width
    if data is None:
        found.problems.append(Problem(start, f"{path} is missing: leaf hashes {start} to {start + width - 1}"))
        return None
    found.tiles = 1
    if len(data) == width * HASH_BYTES:
        return data
    at = start + min(len(data) // HASH_BYTES, width)
    what = f"{path} is truncated or damaged: {len(data)} bytes instead of {width * HASH_BYTES}"
    found.problems.append(Problem(at, what))
    return None


def _each(found: Stretch, task: Task, entries: Sequence[bytes]) -> list[tuple[str, str, int]]:
    """Look at every entry; returns what the database should say beside each that is in form."""
    rows: list[tuple[str, str, int]] = []
    written = _Written(found.told)
    read = decisions.Reader().read
    last = ""
    for index, data in enumerate(entries, found.start):
        entry: Entry | decisions.DecisionEntry | None = read(data)
        if isinstance(entry, decisions.DecisionEntry):
            digest = entry.body.record.blob
            if entry.actor.type == AGENT:
                asked = tuple(entry.body.sources) if entry.body.alerts.added else ()
                written.add(index, Kind.FINDING_DECIDED, entry.actor, entry.time, asked)
        else:
            entry = _other(found, task, index, data, written)
            if entry is None:
                continue
            digest = reference(entry)
        if task.beside:
            rows.append((str(entry.kind), entry.subject, entry.time))
        if digest and digest != last:
            found.references.append((index, digest))
            last = digest
    written.end()
    found.checked = len(entries)
    if task.spoilt:
        _spoilt(found, task.spoilt, entries)
    return rows


def _other(found: Stretch, task: Task, index: int, data: bytes, written: _Written) -> Entry | None:
    """An entry that is no plain decision; None, and the problem named, when it is not in form."""
    try:
        entry = decode(data)
    except VerificationError as error:
        found.problems.append(Problem(index, f"entry {index}: {error}"))
        return None
    if entry.kind.value in task.watched:
        written.end()
        found.told.append(Told(index, entry))
    elif entry.actor.type == AGENT:
        written.add(index, entry.kind, entry.actor, entry.time)
    return entry


class _Written:
    """Runs of what an agent wrote under one lease at one time."""

    def __init__(self, told: list[Told]) -> None:
        self._told = told
        self._key: tuple[Kind, str, str, int, tuple[str, ...]] | None = None
        self._first = self._count = 0

    def add(self, index: int, kind: Kind, actor: Actor | decisions.Writer, time: int, asked: tuple[str, ...] = ()) -> None:
        """One more entry. asked: sources that were asked for it."""
        key = kind, actor.id, actor.lease, time, asked
        if key == self._key and index == self._first + self._count:
            self._count += 1
            return
        self.end()
        self._key, self._first, self._count = key, index, 1

    def end(self) -> None:
        if self._key is not None:
            kind, agent, lease, time, asked = self._key
            entry = Entry(kind, time, Actor(AGENT, agent, lease), "", "", {ASKED: asked} if asked else {})
            self._told.append(Told(self._first, entry, self._count, 0))
        self._key = None


def _spoilt(found: Stretch, digests: Sequence[bytes], entries: Sequence[bytes]) -> None:
    """Entries that rest on evidence which does not match."""
    for index, data in enumerate(entries, found.start):
        for digest in digests:
            if digest in data:
                what = f"evidence {digest.decode()} of entry {index} does not match its commitment: it was changed"
                found.problems.append(Problem(index, what))
