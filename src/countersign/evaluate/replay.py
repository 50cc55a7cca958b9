"""Replay: recompute every decision that the ledger holds from its record, and compare bytes (P8).

Verdicts, gates and draws of findings; everything that the policy was asked (sources, matters before people, changes made,
actions run); what people's answers add up to, and what their targets had become; leases; the course of every scope. All of
it from ledger and evidence alone, with the policy set and the model in force at that entry.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from sqlalchemy import Connection, select

from countersign.errors import VerificationError
from countersign.evaluate.replay_again import Again
from countersign.evaluate.replay_asked import asked
from countersign.evaluate.replay_autonomy import Course, Told
from countersign.evaluate.replay_counts import DRAW, POLICY, Counts, Problem, Result, Tally, tried
from countersign.evaluate.replay_findings import Findings, pseudonyms
from countersign.evaluate.replay_past import FAULTS, Past, worded
from countersign.ledger.canonical import decode
from countersign.model.entries import Entry, Kind
from countersign.store import key_table, ledger
from countersign.store import tables as t
from countersign.store.engine import make_engine, reading

PAGE = 1_000
PART = 5_000
"""Entries that one process is given at a time."""
_DRAWN = b'"draw":['
Tick = Callable[[int, int], None]
"""Told how many entries are done, of how many."""
__all__ = ["Problem", "Result", "Tally", "replay"]


def replay(conn: Connection, ident: str = "", week: str = "", *, jobs: int = 1, tick: Tick | None = None) -> Result:
    """Replay all that was decided, what concerns one finding, case or other subject, or the closes of one week
    (``2025-W07``) with their draws. jobs: processes for the findings.
    Raises VerificationError when there is nothing of that name."""
    counts = Counts()
    wanted = _about(conn, ident) if ident else None
    size = ledger.size(conn)
    if jobs > 1 and wanted is None and size > PART:
        _spread(conn, counts, week, jobs, size, tick or (lambda _done, _size: None))
    else:
        _decisions(conn, counts, week, 0, size, wanted, tick)
    if not week and (wanted is None or not wanted.decisions_only):
        _others(conn, counts, wanted)
    found = counts.result()
    if (ident or week) and not (found.replayed or found.left):
        raise VerificationError("no decision in the ledger is about it", where=ident or week, todo="check the id")
    return found


class _Wanted:
    """Entries about one subject or case."""

    def __init__(self, kinds: dict[int, str]) -> None:
        self.indices: Collection[int] = kinds.keys()
        self.decisions_only = set(kinds.values()) <= {Kind.FINDING_DECIDED.value}


def _about(conn: Connection, ident: str) -> _Wanted:
    e = t.entries.c
    rows = conn.execute(select(e.idx, e.kind).where((e.subject == ident) | (e.case_id == ident)))
    return _Wanted({row.idx: row.kind for row in rows})


# --- findings ---------------------------------------------------------------------------------------------------------


def _decisions(
    conn: Connection, counts: Counts, week: str, start: int, stop: int, wanted: _Wanted | None, tick: Tick | None
) -> None:
    findings = Findings(conn)
    for index, data in _rows(conn, start, stop, decided=True):
        if wanted is not None and index not in wanted.indices:
            continue
        if tick is not None and index % PAGE == 0:
            tick(index, stop)
        entry = _read(counts, index, data)
        if entry is None:
            continue
        if not week or week == (entry.body.get("draw") or [""])[0]:
            _decision(counts, findings, index, entry)


def _decision(counts: Counts, findings: Findings, index: int, entry: Entry) -> None:
    what, lacks = tried(partial(findings.differs, entry))
    counts.add(POLICY, index, what if what.startswith("policy: ") else "", lacks)
    if entry.body.get("draw"):
        wrong, unknown = tried(partial(findings.draw, entry))
        counts.add(DRAW, index, wrong, unknown)
        what = what or ("" if lacks else wrong)
    counts.add(entry.kind.value, index, what, lacks)


def _spread(conn: Connection, counts: Counts, week: str, jobs: int, size: int, tick: Tick) -> None:
    """The same by several processes, each with a snapshot of its own; entries never change once they are there."""
    url = conn.engine.url.render_as_string(hide_password=False)
    parts = [(url, week, start, min(start + PART, size)) for start in range(0, size, PART)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for done, (tallies, problems) in enumerate(pool.map(_part, parts), 1):
            counts.merge(tallies, problems)
            tick(min(done * PART, size), size)


def _part(given: tuple[str, str, int, int]) -> tuple[list[Tally], list[Problem]]:
    url, week, start, stop = given
    engine, counts = make_engine(url), Counts()
    try:
        with reading(engine) as conn:
            _decisions(conn, counts, week, start, stop, None, None)
    finally:
        engine.dispose()
    return counts.parts()


# --- everything else --------------------------------------------------------------------------------------------------


def _others(conn: Connection, counts: Counts, wanted: _Wanted | None) -> None:
    """Entries but decisions, in their order, with the closes that move a scope between them."""
    past, course = Past(conn), Course(conn)
    again = Again(past, pseudonyms(conn), key_table.erased(conn))
    for index, data in _rows(conn, 0, ledger.size(conn), decided=False):
        entry = _read(counts, index, data)
        if entry is None:
            continue
        _tell(counts, course.ended(entry), wanted)
        if entry.kind is not Kind.FINDING_DECIDED:
            if wanted is None or index in wanted.indices:
                _other(counts, past, again, index, entry)
            _remember(counts, index, entry, past.take)
        elif wanted is None or index in wanted.indices:
            what, _ = tried(partial(course.draw, entry))
            if what:
                counts.problem(entry.kind.value, index, what)
        _remember(counts, index, entry, course.take)
    _tell(counts, course.end(), wanted)


def _remember(counts: Counts, index: int, entry: Entry, take: Callable[[int, Entry], None]) -> None:
    """What cannot be read cannot be remembered: what rests on it will not replay either, and this says why."""
    try:
        take(index, entry)
    except FAULTS as error:
        counts.problem(entry.kind.value, index, worded(error))


def _tell(counts: Counts, told: Iterable[Told], wanted: _Wanted | None) -> None:
    for index, kind, what, lacks in told:
        if wanted is None or index in wanted.indices:
            counts.add(kind.value, index, what, lacks)


def _other(counts: Counts, past: Past, again: Again, index: int, entry: Entry) -> None:
    if not again.knows(entry.kind):
        return
    what, lacks = tried(partial(again.differs, index, entry))
    refused, unknown = tried(partial(_policy, counts, past, index, entry))
    counts.add(entry.kind.value, index, what or ("" if lacks else refused), lacks or ("" if what else unknown))


def _policy(counts: Counts, past: Past, index: int, entry: Entry) -> str:
    """What the policy answers otherwise than it did, for the first request that it does."""
    found = ""
    for one in asked(past, index, entry):
        what = one.differs(past.policy[1])
        counts.add(POLICY, index, what)
        found = found or what
    return found


def _read(counts: Counts, index: int, data: bytes) -> Entry | None:
    """The entry in these bytes; None, and a problem, when there is none."""
    try:
        return decode(data)
    except FAULTS as error:
        counts.problem("", index, worded(error))
        return None


def _rows(conn: Connection, start: int, stop: int, *, decided: bool) -> Iterator[tuple[int, bytes]]:
    """(index, bytes): decisions of findings; or everything else, and closes."""
    e = t.entries.c
    while start < stop:
        kind = e.kind == Kind.FINDING_DECIDED.value
        statement = select(e.idx, e.kind, e.bytes).where(e.idx >= start, e.idx < min(start + PAGE, stop))
        for row in conn.execute((statement.where(kind) if decided else statement).order_by(e.idx)):
            held = row.bytes
            data = held if isinstance(held, bytes) else str(held).encode()  # SQLite lets a tamperer put text there
            if decided or row.kind != Kind.FINDING_DECIDED.value or _DRAWN in data:
                yield row.idx, data
        start += PAGE
