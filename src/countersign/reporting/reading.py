"""Reads what reports are made of: entries with their bytes, pieces beside the log, clear names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

import msgspec
from sqlalchemy import Connection, Row, select

from countersign.errors import CountersignError, VerificationError
from countersign.ledger.canonical import decode
from countersign.model.entities import PERSONAL
from countersign.model.entries import Kind
from countersign.reporting.articles import NEWEST_MAX, Found
from countersign.reporting.model import Cited, Piece
from countersign.reporting.says import Names
from countersign.store import evidence, inventory
from countersign.store import tables as t
from countersign.store.policies import Stored
from countersign.store.sql import chunks

PIECE_BYTES_MAX = 32 * 1024 * 1024
_MAIL = re.compile(rb"[^\s@]@[^\s@]")
_PEOPLE = ("person", *sorted(kind.value for kind in PERSONAL))
_e = t.entries.c
_COLUMNS = (_e.idx, _e.case_id, _e.bytes)


def cited(row: Row[int, str, bytes]) -> Cited:
    """A row of ``entries``."""
    data = bytes(row.bytes)
    return Cited(row.idx, decode(data), data, row.case_id)


def by_index(conn: Connection, wanted: Iterable[int]) -> dict[int, Cited]:
    """Entries by their indices."""
    found: dict[int, Cited] = {}
    for part in chunks(sorted(set(wanted))):
        found |= {row.idx: cited(row) for row in conn.execute(select(*_COLUMNS).where(_e.idx.in_(part)))}
    return found


def names(conn: Connection) -> dict[str, str]:
    """Pseudonym → what the key table still knows, without its kind in front."""
    rows = conn.execute(select(t.pseudonyms.c.pseudonym, t.pseudonyms.c.value))
    return {row.pseudonym: row.value.partition(":")[2] for row in rows}


class PeriodRecord:
    """``articles.Record`` over the database: the entries from one moment to another, of one case if given."""

    def __init__(
        self, conn: Connection, known: Names, first_ms: int, last_ms: int, now_ms: int, cases: Collection[str] = ()
    ) -> None:
        self._conn = conn
        self.names = known
        self.first_ms, self.last_ms, self.now_ms = first_ms, last_ms, now_ms
        self._cases = sorted(cases)
        self._held: dict[int, Cited] = {}

    def find(self, *kinds: Kind, holding: bytes = b"", newest: int = NEWEST_MAX) -> Found:
        """Entries of these kinds whose bytes hold something. The bytes are read, since no index knows what they hold."""
        values = [kind.value for kind in kinds]
        where = [_e.kind.in_(values), _e.time_ms >= self.first_ms, _e.time_ms <= self.last_ms]
        if self._cases and not set(kinds) <= _WHOLE:
            where.append(_e.case_id.in_(self._cases))
        total, kept = 0, list[int]()
        columns = (*_COLUMNS, _e.kind) if holding else (_e.idx,)
        for row in self._conn.execute(select(*columns).where(*where).order_by(_e.idx.desc())).yield_per(1000):
            if not holding or holding in bytes(row.bytes):
                total += 1
                if len(kept) < newest:
                    kept.append(row.idx)
        shown = [self._take(index) for index in sorted(kept)]
        return Found(total, tuple(one for one in shown if one is not None))

    def entry(self, index: int) -> Cited | None:
        """One entry, whenever it was written."""
        return self._take(index)

    def _take(self, index: int) -> Cited | None:
        if index not in self._held:
            self._held |= by_index(self._conn, [index])
        return self._held.get(index)

    def entries(self, wanted: Iterable[int]) -> dict[int, Cited]:
        """Those that statements cite."""
        missing = [index for index in wanted if index not in self._held]
        self._held |= by_index(self._conn, missing)
        return {index: self._held[index] for index in wanted}


_WHOLE = frozenset({Kind.MODEL_ACTIVATED, Kind.POLICY_ACTIVATED, Kind.MODEL_PROPOSED})
"""What concerns every case and is filed under none."""


class Pieces:
    """Matter beside the log. Reads one only when asked for, tells whether it names persons, and leaves out what is not to go
    out: ``withheld`` says what and why."""

    def __init__(self, conn: Connection, *, named: bool) -> None:
        self._conn = conn
        self._named = named
        self.held: dict[str, Piece] = {}
        self.withheld: list[str] = []

    @cached_property
    def _persons(self) -> tuple[bytes, ...]:
        """Everything that is known to name a person, case folded."""
        p = t.pseudonyms.c
        found = {value.partition(":") for value in self._conn.execute(select(p.value)).scalars()}
        known = inventory.load(self._conn)
        people = {name for kind, _, name in found if kind in _PEOPLE}
        people |= {one.name for one in known.identities} | {one.owner for one in known.assets if one.owner}
        return tuple(name.casefold().encode() for name in people if name)

    def take(self, digest: str, what: str, index: int) -> None:
        """Put a piece into the pack, unless it was erased, is too large, or names a person and names are not wanted."""
        if not digest or digest in self.held:
            return
        row = self._conn.execute(select(t.evidence).where(t.evidence.c.digest == digest)).first()
        if row is None:
            self.withheld.append(f"{what} of entry {index}: not in the store any more")
            return
        salt, data = bytes(row.salt), bytes(row.bytes)
        if len(data) > PIECE_BYTES_MAX:
            self.withheld.append(f"{what} of entry {index}: larger than {PIECE_BYTES_MAX // 1024 // 1024} MiB")
            return
        try:
            plain = _plain(digest, salt, data, row.kind)
        except VerificationError:
            self.withheld.append(f"{what} of entry {index}: the store holds something else than the entry commits to")
            return
        except (CountersignError, msgspec.MsgspecError) as error:
            self.withheld.append(f"{what} of entry {index}: cannot be read ({type(error).__name__})")
            return
        personal = row.kind not in _IMPERSONAL and self._names_somebody(plain)
        if personal and not self._named:
            self.withheld.append(f"{what} of entry {index}: it names a person; --with-names puts it in")
            return
        self.held[digest] = Piece(digest, what, salt, data, plain, personal)

    def _names_somebody(self, plain: Sequence[tuple[str, bytes]]) -> bool:
        text = b"\n".join(data for _, data in plain).decode("utf-8", errors="replace").casefold().encode()
        return not plain or bool(_MAIL.search(text)) or any(name in text for name in self._persons)


_IMPERSONAL = frozenset({"policy", "model"})


def _plain(digest: str, salt: bytes, data: bytes, kind: str) -> tuple[tuple[str, bytes], ...]:
    """What a piece holds, as files that can be read. Raises VerificationError when it is not what its digest says."""
    if kind == "proposal":
        return ((f"{digest[:16]}-proposal.json", evidence.unpack(digest, salt, data, bytes)),)
    if kind == "probe":
        said = evidence.unpack(digest, salt, data, dict[str, str])
        return ((f"{digest[:16]}-words.txt", said["detail"].encode()),)
    if kind == "policy":
        held = evidence.unpack(digest, salt, data, Stored)
        files: Mapping[str, str] = held.files
        return tuple((f"{digest[:16]}-policy-{name}", text.encode()) for name, text in sorted(files.items()))
    evidence.unpack(digest, salt, data, msgspec.Raw)
    return ()
