"""A site for the console alone: an engine, and commands that write just enough through the tables."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sqlalchemy import Engine, update

from countersign.authority.grant import Grant
from countersign.errors import ConflictError, NotFoundError
from countersign.ledger.note import Checkpoint
from countersign.model.entries import Actor, Kind
from countersign.store import read, read_case
from countersign.store import tables as t
from countersign.store.commands import Commands
from countersign.store.engine import reading
from tests.browser import seed
from tests.fakes import draft_grant


class WallClock:
    """Milliseconds since the epoch, shifted so that the seeded site is of today."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


@dataclass
class TableCommands:
    """Writes the way the real ones do, without the rules behind them."""

    engine: Engine
    clock: WallClock

    def dispose(self, case_id: str, disposition: str, reason: str, actor: str, version: int) -> None:
        with self.engine.begin() as conn:
            row = read_case.case_row(conn, case_id)
            if row.entry != version:
                raise ConflictError("the case changed", where=case_id, todo="look again")
            now = self.clock.now_ms()
            entry = seed.append(
                conn, Kind.CASE_DISPOSED, case_id, case_id, Actor("human", actor), {"disposition": disposition}, now
            )
            values = {
                "status": "closed_human",
                "disposition": disposition,
                "reason": reason,
                "disposed_by": actor,
                "disposed_ms": now,
                "entry": entry,
            }
            conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(values))

    def assign(self, case_id: str, owner: str, actor: str) -> None:
        with self.engine.begin() as conn:
            read_case.case_row(conn, case_id)
            entry = seed.append(
                conn, Kind.CASE_ASSIGNED, case_id, case_id, Actor("human", actor), {"owner": owner}, self.clock.now_ms()
            )
            conn.execute(update(t.cases).where(t.cases.c.id == case_id).values(owner=owner, entry=entry))

    def reopen(self, case_id: str, reason: str, actor: str) -> None:
        self._real().reopen(case_id, reason, actor)

    def resubmit(self, quarantine_id: int, actor: str) -> None:
        with self.engine.begin() as conn:
            changed = conn.execute(
                update(t.quarantine).where(t.quarantine.c.id == quarantine_id).values(state="resubmitted")
            )
            if changed.rowcount == 0:
                raise NotFoundError("there is no such alert in quarantine", where=str(quarantine_id))

    def overturn(self, case_id: str, reason: str, actor: str) -> object:
        return self._real().overturn(case_id, reason, actor)

    def review(self, finding: str, answer: str, reason: str, actor: str) -> object:
        return self._real().review(finding, answer, reason, actor)

    def acknowledge(self, scope: str, reason: str, actor: str) -> None:
        self._real().acknowledge(scope, reason, actor)

    def stop(self, scope: str, reason: str, actor: str) -> None:
        self._real().stop(scope, reason, actor)

    def resume(self, scope: str, reason: str, actor: str) -> None:
        self._real().resume(scope, reason, actor)

    def stop_agent(self, name: str, reason: str, actor: str) -> None:
        self._real().stop_agent(name, reason, actor)

    def retire_agent(self, name: str, reason: str, actor: str) -> None:
        self._real().retire_agent(name, reason, actor)

    def revoke_lease(self, ident: str, reason: str, actor: str) -> object:
        return self._real().revoke_lease(ident, reason, actor)

    def _real(self) -> Commands:
        return Commands(self.engine, self.clock, "analyst")


@dataclass
class TableSite:
    """What ``create_console`` asks for."""

    engine: Engine
    clock: WallClock = field(default_factory=WallClock)
    behind: int = 0

    @property
    def commands(self) -> TableCommands:
        return TableCommands(self.engine, self.clock)

    def case_grant(self, case: str) -> Grant:
        return draft_grant(case, self.clock.now_ms())

    def checkpoint(self) -> Checkpoint | None:
        with reading(self.engine) as conn:
            size = read.ledger_size(conn)
        return Checkpoint("console.example", max(0, size - self.behind), b"r" * 32)
