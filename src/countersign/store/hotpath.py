"""The hot path: claim, read, correlate, judge, write, in one transaction per micro-batch (``BATCH_ALERTS_MAX``).

A batch that fails for a reason nobody foresaw is taken apart: every alert is tried by itself, the ones that fail are
quarantined with the error, and the rest go through. Nothing is dropped.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from countersign.authority.terms import LeaseRefused
from countersign.errors import EnvironmentFault
from countersign.model.alerts import Delivery
from countersign.ports import Clock
from countersign.store import asking, inbox, leases, ledger
from countersign.store.batch import Batch
from countersign.store.carried import Carried
from countersign.store.engine import reading, writing
from countersign.store.gear import Report, Tools
from countersign.store.labelling import Standing

log = structlog.get_logger()

SWEEP_MS = 600_000
"""Waiting findings are put to the gate again at least so often while a scope closes."""
YOUNG_OBJECTS = 500_000
"""New objects before Python looks for cycles. Nearly all die by reference counting, and looking after every 700, which is
Python's default, took a fifth of the CPU time."""


class HotPath:
    """Works the inbox off, one micro-batch at a time."""

    def __init__(self, engine: Engine, clock: Clock, tools: Tools) -> None:
        self._engine = engine
        self._clock = clock
        self._tools = tools
        self._carried = Carried()
        self._mark = -1
        self._was_sealed = True
        self._swept_ms = 0
        self.held_back = False
        """Whether alerts wait that no lease allows to be processed: an agent without which nothing is written is stopped."""

    def expect(self, deliveries: Mapping[str, Delivery]) -> None:
        """Deliveries that this process just accepted, by the commitment: they need not be read back from the database."""
        self._carried.expect(deliveries)

    def drain(self, tick: Callable[[Report], None] | None = None) -> Report:
        """Process until the inbox is empty; ``tick`` sees each batch's report."""
        total = Report()
        while (report := self.step()) is not None:
            total.add(report)
            if tick is not None:
                tick(report)
        return total

    def step(self) -> Report | None:
        """Process one micro-batch; None when nothing waits."""
        self._tools.keep_sealed()
        try:
            with _undisturbed():
                report = self._attempt()
            _settle()
            return report
        except (EnvironmentFault, OperationalError):  # the database is in trouble, not the batch
            raise
        except LeaseRefused as error:  # nor are the alerts to blame: they wait, and the ledger says for what
            self._refused(error)
            return None
        except Exception:
            log.exception("micro-batch failed; taking it apart")
        try:
            return self._apart()
        except LeaseRefused as error:
            self._refused(error)
            return None

    def _refused(self, error: LeaseRefused) -> None:
        """A connector refused: the batch was rolled back, the refusal is recorded."""
        log.error("a lease was refused", why=str(error))
        self.held_back = True
        with writing(self._engine) as conn:
            leases.record(conn, [error.refusal], self._clock.now_ms())

    def sweep(self) -> Report:
        """Ask the gate again about findings that wait for a person, when people's answers or a scope's state changed
        since the last time, the ledger is sealed in time again, or some time has passed (trouble nearby is of its hour).
        Nothing is asked while it is not. Costs a few look-ups when nothing changed."""
        total = Report()
        if not self._tools.keep_sealed():
            self._was_sealed = False
            return total
        with reading(self._engine) as conn:
            mark = asking.mark(conn)
            due = self._clock.now_ms() - self._swept_ms >= SWEEP_MS or not self._was_sealed
            scopes = asking.closing_scopes(conn, self._tools.killed(conn)) if due or mark != self._mark else []
        if not scopes:
            self._mark, self._was_sealed = mark, True
            return total
        after = ""
        while page := self._waiting(scopes, after):
            report = self._ask(page)
            if report is None:
                return total
            total.add(report)
            after = page[-1]
        self._mark, self._swept_ms, self._was_sealed = mark, self._clock.now_ms(), True
        return total

    def _ask(self, findings: Sequence[str]) -> Report | None:
        try:
            with writing(self._engine) as conn:
                return Batch(conn, self._tools, self._clock.now_ms(), ledger.lock_head(conn)).ask(findings)
        except LeaseRefused as error:
            self._refused(error)
            return None

    def _waiting(self, scopes: Sequence[str], after: str) -> list[str]:
        with reading(self._engine) as conn:
            return asking.waiting(conn, scopes, after)

    def peek(self, conn: Connection, findings: Sequence[str]) -> Mapping[str, Standing]:
        """What the gate says of these findings at this moment, within the caller's transaction; nothing is written."""
        return Batch(conn, self._tools, self._clock.now_ms(), ledger.lock_head(conn)).peek(findings)

    def _attempt(self, *, only: int | None = None, skip: frozenset[int] = frozenset()) -> Report | None:
        with writing(self._engine) as conn:
            head = ledger.lock_head(conn)
            claimed = inbox.claim(conn, only=only)
            if not claimed:
                return None
            batch = Batch(conn, self._tools, self._clock.now_ms(), head, self._carried)
            report = batch.run(claimed, skip)
            self.held_back = report is None
            if report is None:
                return None
            start = time.process_time()
        self._carried.keep(batch.end)
        report.seconds["commit"] += time.process_time() - start
        return report

    def _apart(self) -> Report | None:
        """Find the alerts of the oldest row that cannot be processed even alone, and go on without them."""
        with writing(self._engine) as conn:
            claimed = inbox.claim(conn, most=1)
        if not claimed:
            return None
        row = claimed[0]
        culprits = frozenset(place for place in range(row.n) if not self._survives(row, place))
        try:
            report = self._attempt(only=row.id, skip=culprits)
        except (EnvironmentFault, OperationalError, LeaseRefused):
            raise
        except Exception:  # together they break what none of them breaks alone
            log.exception("alerts cannot be processed together; all of them are quarantined")
            report = self._attempt(only=row.id, skip=frozenset(range(row.n)))
        return report or Report()  # another worker may have been faster: that does not mean that the inbox is empty

    def _survives(self, row: inbox.Claimed, place: int) -> bool:
        others = frozenset(range(row.n)) - {place}
        conn = self._engine.connect()
        try:
            transaction = conn.begin()
            head = ledger.lock_head(conn)
            Batch(conn, self._tools, self._clock.now_ms(), head).run([row], others)
            transaction.rollback()
        except (EnvironmentFault, OperationalError, LeaseRefused):
            raise
        except Exception as error:  # the point is to learn which alert breaks things, whatever the error
            log.error("alert cannot be processed", place=place, error=type(error).__name__)
            return False
        finally:
            conn.close()
        return True


@cache
def _settle() -> None:
    """After the first batch of the process: modules and lists that stay for good are no longer searched for cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(max(YOUNG_OBJECTS, gc.get_threshold()[0]), 20, 20)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nobody looks for cycles among what a micro-batch holds: it is all let go of together at the end."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
