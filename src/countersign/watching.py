"""Reads the ledger while the service runs, so that tampering shows by itself: what is newly sealed at once, and everything
over and over, with a small share of one core.

It only reads. What it found stands in memory: after a start nothing counts as verified until it has been read again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog
from sqlalchemy import Engine

from countersign.errors import CountersignError
from countersign.ledger.findings import Problem
from countersign.ledger.follow import Follower, Keys
from countersign.ledger.judging import Judge
from countersign.ledger.record import LogReader, RecordReader, Row
from countersign.ledger.verify import Report, verify
from countersign.model.standing import Standing, Verified
from countersign.ports import Clock
from countersign.store import read_ledger, rotation
from countersign.store.engine import reading
from countersign.store.ledger_rows import LedgerRows

log = structlog.get_logger()
FOLLOW_S = 0.5
"""How often what is newly sealed is looked for."""
REST_S = 3.0
"""Between two readings of everything."""
SLICE_S = 0.005
"""CPU time after which it pauses."""
PROBLEMS_SHOWN = 20


class Stopped(Exception):
    """The service ends."""


class Pace:
    """Holds its thread to a share of one core: after each slice of CPU time it sleeps in proportion."""

    def __init__(self, percent: int, stopping: threading.Event) -> None:
        self._pause = 100 / percent - 1
        self._stopping = stopping
        self._since = time.thread_time()

    def __call__(self) -> None:
        """Call it often. Raises Stopped."""
        used = time.thread_time() - self._since
        if used < SLICE_S:
            return
        if self._stopping.wait(used * self._pause):
            raise Stopped
        self._since = time.thread_time()


class _Slow:
    """Log and database as ``verify`` reads them, with ``tick`` at every read."""

    def __init__(self, log: LogReader, record: RecordReader, tick: Callable[[], None]) -> None:
        self._log = log
        self._record = record
        self._tick = tick

    def checkpoint(self) -> bytes | None:
        return self._log.checkpoint()

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        self._tick()
        return self._log.tile(level, index, width)

    def bundle(self, index: int, width: int) -> bytes | None:
        self._tick()
        return self._log.bundle(index, width)

    def head(self) -> int | None:
        return self._record.head()

    def rows(self) -> Iterator[Row]:
        for row in self._record.rows():
            self._tick()
            yield row

    def evidence(self) -> Iterator[tuple[str, bytes, bytes]]:
        for each in self._record.evidence():
            self._tick()
            yield each

    def matter(self, digest: str) -> bytes | None:
        return self._record.matter(digest)


class Published(LogReader, rotation.Beside, Protocol):
    """A log with what is published beside it."""


Judges = Callable[[RecordReader], Sequence[Judge]]
"""Judges for one reading, over the database beside the log."""


class Verifier(threading.Thread):
    """Until stopped. percent: share of one core. judges: know more rules than the ledger's own."""

    def __init__(self, log: Published, keys: Keys, engine: Engine, clock: Clock, percent: int, judges: Judges) -> None:
        super().__init__(name="verifier", daemon=True)
        self._log = log
        self._keys = keys
        self._engine = engine
        self._clock = clock
        self._judges = judges
        self._stopping = threading.Event()
        self._pace = Pace(percent, self._stopping)
        self._follower = self._fresh()
        self._followed = 0.0
        self._whole: tuple[Problem, ...] = ()
        self.state = Verified()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Loop; what cannot be read is told, and tried again."""
        try:
            while not self._stopping.is_set():
                self._round()
        except Stopped:
            return

    def _round(self) -> None:
        try:
            self.read_all()
            self._rest()
        except CountersignError as error:
            self._unknown(str(error))
        except Stopped:
            raise
        except Exception as error:
            log.exception("verifier")
            self._unknown(f"it could not be read ({type(error).__name__})")

    def _unknown(self, why: str) -> None:
        if self.state.why != why:
            log.error("verifier", why=why)
        self.state = msgspec.structs.replace(self.state, state=Standing.UNKNOWN, why=why)
        if self._stopping.wait(REST_S):
            raise Stopped

    def _rest(self) -> None:
        until = time.monotonic() + REST_S
        while time.monotonic() < until:
            if self._stopping.wait(FOLLOW_S):
                raise Stopped
            self.follow()

    # --- everything

    def read_all(self) -> None:
        """One reading from the first entry to the last. What is found wrong is read once more before it is told: a tile that
        is being replaced by its fuller one may look missing."""
        if self.state.state in (Standing.OFF, Standing.UNKNOWN):
            self.state = msgspec.structs.replace(self.state, state=Standing.CHECKING, why="")
        suspected = bool(self._follower.problems)
        report = self._verify()
        if not report.ok:
            report = self._verify()
        self._whole = report.problems
        if report.ok and suspected:
            self._follower = self._fresh()  # mended: it goes on from here
            self._follower.step()
        now_ms = self._clock.now_ms()
        self.state = msgspec.structs.replace(self.state, whole_ms=now_ms, whole_size=report.size, at_ms=now_ms)
        self._tell(max(report.size, self._follower.size))

    def _verify(self) -> Report:
        slow, keys = _Slow(self._log, LedgerRows(self._engine), self._tick), self._keys()
        judges = (*self._judges(slow), rotation.judge(self._log, keys))
        return verify(slow, keys, record=slow, progress=self._progress, judges=judges)

    def _progress(self, done: int, size: int) -> None:
        self.state = msgspec.structs.replace(self.state, done=done, of=size)
        self._tick()

    def _tick(self) -> None:
        self._pace()
        if time.monotonic() - self._followed >= FOLLOW_S:
            self.follow()

    # --- what is new

    def follow(self) -> None:
        """Check what was sealed since; what is wrong is looked at twice, as above."""
        self._followed = time.monotonic()
        before = self._follower.problems
        changed = self._follower.step()
        if self._follower.problems and not before:
            changed |= self._follower.step()
        self._followed = time.monotonic()
        if changed and self.state.whole_ms:
            self.state = msgspec.structs.replace(self.state, at_ms=self._clock.now_ms())
            self._tell(max(self.state.whole_size, self._follower.size))
        elif self._follower.problems:
            self._tell(self.state.upto)

    def _tell(self, upto: int) -> None:
        problems = (*self._whole, *(one for one in self._follower.problems if one not in self._whole))
        if problems and self.state.state is not Standing.BROKEN:
            log.error("ledger does not verify", problems=len(problems), first=problems[0].what)
        shown = tuple((-1 if one.index is None else one.index, one.what) for one in problems[:PROBLEMS_SHOWN])
        self.state = msgspec.structs.replace(
            self.state,
            state=Standing.BROKEN if problems else Standing.VERIFIED,
            upto=self.state.upto if problems else upto,
            problems=shown,
            more=max(0, len(problems) - len(shown)),
            why="",
        )

    def _fresh(self) -> Follower:
        return Follower(self._log, self._keys, self._rows, self._pace)

    def _rows(self, start: int, stop: int) -> list[Row]:
        with reading(self._engine) as conn:
            return read_ledger.between(conn, start, stop)
