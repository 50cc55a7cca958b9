"""Records of findings, where they are kept: read piece by piece, and a worker's own newest ones remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import groupby, islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from countersign.errors import CountersignError, NotFoundError
from countersign.model.records import Outline, Records
from countersign.store import evidence
from countersign.store import tables as t
from countersign.store.sql import among

Place = tuple[str, int]
"""Commitment of a piece, and the place of a record in it."""
REMEMBERED_MAX = 8_192
"""Outlines kept in memory: as many as come in a few minutes of a busy site."""
PIECES_HELD = 16
_PAGE_ROWS = 2_000
_outline = msgspec.msgpack.Decoder(Outline).decode


def packed(
    conn: Connection, places: Collection[Place], but: tuple[type[CountersignError], ...] = ()
) -> Iterator[tuple[Place, bytes]]:
    """Msgpack of each record, every piece read once. Raises what ``evidence.get`` raises; but: errors at which one is left
    out."""
    by_blob: dict[str, list[Place]] = {}
    for place in places:
        by_blob.setdefault(place[0], []).append(place)
    for blob, wanted in by_blob.items():
        try:
            held = evidence.get(conn, blob, Records).records
        except but:
            continue
        yield from ((place, held[place[1]]) for place in wanted)


def outlines(
    conn: Connection, places: Collection[Place], but: tuple[type[CountersignError], ...] = ()
) -> dict[Place, Outline]:
    """The same, read."""
    return {place: _outline(data) for place, data in packed(conn, places, but)}


def every(conn: Connection) -> Iterator[tuple[Row[*tuple[Any, ...]], Outline]]:
    """(row with id, case_id and entry, outline) of every finding whose record is there, piece by piece."""
    f = t.findings.c
    wanted = select(f.id, f.case_id, f.entry, f.blob, f.place).order_by(f.blob, f.place)
    result = conn.execute(wanted, execution_options={"yield_per": _PAGE_ROWS})
    for blob, rows in groupby(result, key=lambda row: str(row.blob)):
        held = piece(conn, blob)
        yield from ((row, _outline(held.records[row.place])) for row in rows if held is not None)


def piece(conn: Connection, blob: str) -> Records | None:
    """None when it is not there any more."""
    with suppress(NotFoundError):
        return evidence.get(conn, blob, Records)
    return None


def alerts(conn: Connection, findings: Collection[str]) -> Iterator[tuple[str, int, list[Place]]]:
    """(finding, entry, raw alerts by delivery and place in it) of every decision that added alerts to one of the findings,
    the oldest first. What is not there any more is left out."""
    f, e = t.findings.c, t.earlier_decisions.c
    newest = conn.execute(among(conn, select(f.entry, f.id, f.blob, f.place), f.id, findings)).all()
    before = conn.execute(among(conn, select(e.entry, e.finding_id, e.blob, e.place), e.finding_id, findings)).all()
    held: dict[str, Records | None] = {}
    for entry, ident, blob, place in sorted(tuple(row) for row in (*newest, *before)):
        if blob not in held:
            if len(held) >= PIECES_HELD:
                del held[next(iter(held))]
            held[blob] = piece(conn, blob)
        one = held[blob]
        if one is not None and one.refs[place]:
            yield ident, entry, [(one.blobs[number], item) for number, item in one.refs[place]]


class Recent:
    """What one worker wrote or read last, by place: repeats of a finding come within minutes of it. Where a person was
    erased since, it is read anew."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self._held: dict[Place, Outline] = {}
        self._most = most

    def read(self, conn: Connection, places: Collection[Place]) -> dict[Place, Outline]:
        """As ``outlines``."""
        found = {place: self._held[place] for place in places if place in self._held}
        if found:
            intact = evidence.intact(conn, {blob for blob, _ in found})
            found = {place: one for place, one in found.items() if place[0] in intact}
        if len(found) < len(places):
            read = outlines(conn, [place for place in places if place not in found])
            self.hold(read)
            found |= read
        return found

    def hold(self, some: Mapping[Place, Outline]) -> None:
        """Remember these, and forget the oldest of those that are too many."""
        self._held.update(some)
        if len(self._held) > self._most:
            for old in list(islice(self._held, len(self._held) - self._most + self._most // 8)):
                del self._held[old]
