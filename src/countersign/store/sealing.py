"""Is what was committed sealed in time? Where it is not, nothing is closed and no action starts (P4).

The answer comes from the database and the newest checkpoint that counts, so every process of a site gives the same one:
the oldest entry that no such checkpoint covers must be younger than the limit. ``covered`` is the place where a site that
wants witnesses asks for the checkpoint that they cosigned.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import msgspec
import structlog
from sqlalchemy import Connection, Engine, select

from countersign.errors import CountersignError
from countersign.ledger.note import Checkpoint
from countersign.ports import Clock
from countersign.store import ledger
from countersign.store import tables as t
from countersign.store.engine import reading

log = structlog.get_logger()
SHARE = 5
"""After a seal that failed, this many times as long as it took pass before the next try of the same process."""


class SealState(msgspec.Struct, frozen=True):
    """in_time: committed entries are sealed within the limit; False as well where that cannot be told. size, sealed: entries
    committed and covered. oldest_ms: time of the oldest entry that is not covered, 0 when all are. problem: why, as far as
    this process knows. known: False where no checkpoint can be read and this process has seen none, so that nothing says
    how much waits, nor for how long: ``sealed`` and ``oldest_ms`` are 0 then."""

    in_time: bool
    size: int
    sealed: int
    oldest_ms: int
    problem: str = ""
    known: bool = True

    @property
    def waiting(self) -> int:
        """Entries that no checkpoint covers; at most so many where it is not known."""
        return max(0, self.size - self.sealed)


class Sealing:
    """covered: the newest checkpoint that counts, None when there is none. seal: covers what was committed. Both raise
    CountersignError. limit_ms: longest time that an entry may stay uncovered."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        covered: Callable[[], Checkpoint | None],
        seal: Callable[[], object],
        limit_ms: int,
    ) -> None:
        self.limit_ms = limit_ms
        self._engine = engine
        self._clock = clock
        self._covered = covered
        self._seal = seal
        self._problem = ""
        self._not_before = 0.0
        self._last: int | None = None  # entries that a checkpoint was seen to cover, should it become unreadable
        self._lock = Lock()

    def look(self, conn: Connection) -> SealState:
        """How it stands; raises nothing of its own."""
        size = ledger.size(conn)
        try:
            head, unread = self._covered(), ""
        except CountersignError as error:
            head, unread = None, str(error)
        if head is not None:
            self._last = head.size
        if self._last is None and size:
            return self._unknown(conn, size, unread)
        sealed = self._last or 0
        if sealed >= size:
            lost = f"the checkpoint covers {sealed:,} entries, the database holds {size:,}" if sealed > size else unread
            return SealState(not lost, size, sealed, 0, lost)
        oldest = _time(conn, sealed)
        if oldest is None:
            return SealState(False, size, sealed, 0, f"entry {sealed:,} is missing from the database")
        late = bool(unread) or self._clock.now_ms() - oldest > self.limit_ms
        why = self._problem or unread or ("" if head else "the log has no checkpoint")
        return SealState(not late, size, sealed, oldest, why if late else "")

    def _unknown(self, conn: Connection, size: int, unread: str) -> SealState:
        """No checkpoint was ever seen: a log that is just begun, or one that is gone. The age of the first entry tells."""
        first = _time(conn, 0)
        if not unread and first is not None and self._clock.now_ms() - first <= self.limit_ms:
            return SealState(True, size, 0, first)
        why = self._problem or unread or "there is no checkpoint that could be read"
        return SealState(False, size, 0, 0, why, known=False)

    def in_time(self, conn: Connection) -> bool:
        """What the gate is told."""
        return self.look(conn).in_time

    def attempt(self) -> str:
        """Seal; returns why it failed, "" when it did not. A change for better or worse is logged once."""
        started = time.monotonic()
        try:
            self._seal()
            problem = ""
        except CountersignError as error:
            problem = str(error)
        except OSError as error:  # a disk that fails where nobody wrapped it
            problem = f"log cannot be written ({error.strerror})"
        with self._lock:
            told, self._problem = self._problem, problem
            ended = time.monotonic()
            self._not_before = ended + SHARE * (ended - started) if problem else 0.0
        if problem and problem != told:
            log.error("seal", problem=problem)
        elif told and not problem:
            log.info("seal", problem="none any more")
        return problem

    def keep(self) -> SealState:
        """How it stands, after trying to seal what is overdue: a clock that leapt, or a crash, holds nothing up."""
        with reading(self._engine) as conn:
            state = self.look(conn)
        if state.in_time or time.monotonic() < self._not_before:
            return state
        problem = self.attempt()
        with reading(self._engine) as conn:
            state = self.look(conn)
        return state if state.in_time or state.problem else msgspec.structs.replace(state, problem=problem)


def said(state: SealState, now_ms: int) -> str:
    """One line for a person, "" while everything is sealed in time."""
    if state.in_time:
        return ""
    why = f": {state.problem}" if state.problem else ""
    if not state.known:
        return f"the ledger is not sealed, since when and how much of its {state.size:,} entries cannot be told{why}"
    since = f"for {max(0, now_ms - state.oldest_ms) // 1000:,} s " if state.oldest_ms else ""
    return f"the ledger has not been sealed {since}({state.waiting:,} entries wait){why}"


def _time(conn: Connection, index: int) -> int | None:
    """When an entry was written, None when it is not there."""
    found = conn.execute(select(t.entries.c.time_ms).where(t.entries.c.idx == index)).scalar()
    return None if found is None else int(found)


HELD = "nothing is closed and no action starts until it is"
"""What follows for people."""
