"""What people do, as one object that the doors call: every method is one transaction with its ledger entry."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Engine

from countersign.model.entries import Entry, Kind
from countersign.model.inventory import Inventory
from countersign.ports import Clock
from countersign.store import casework, evidence, inventory, ledger, quarantine, switches
from countersign.store import tables as t
from countersign.store.engine import writing
from countersign.store.sql import insert_new

TOKEN_DAYS_DEFAULT = 365
DAY_MS = 86_400_000
READ_TOKEN = "api:read"  # noqa: S105 - the reserved name of a kind of token, not a secret
"""Stands where an intake token names its source; no source can be called so, and no intake token reads."""


class Commands:
    """Commands of people. ``operator``: who acts when a door does not say."""

    def __init__(self, engine: Engine, clock: Clock, operator: str) -> None:
        self._engine = engine
        self._clock = clock
        self.operator = operator

    def dispose(self, case_id: str, disposition: str, reason: str, actor: str = "", version: int | None = None) -> None:
        """Close a case with what a person found."""
        with writing(self._engine) as conn:
            who = actor or self.operator
            casework.dispose(conn, case_id, disposition, reason, who, version, self._clock.now_ms())

    def reopen(self, case_id: str, reason: str, actor: str = "") -> None:
        """Take a closed case up again."""
        with writing(self._engine) as conn:
            casework.reopen(conn, case_id, reason, actor or self.operator, self._clock.now_ms())

    def assign(self, case_id: str, owner: str, actor: str = "") -> None:
        """Give a case to a person, or to nobody."""
        with writing(self._engine) as conn:
            casework.assign(conn, case_id, owner, actor or self.operator, self._clock.now_ms())

    def resubmit(self, quarantine_id: int, actor: str = "", mapping: str | None = None) -> None:
        """Put a quarantined message back into the inbox."""
        now_ms = self._clock.now_ms()
        with writing(self._engine) as conn:
            size, _ = ledger.lock_head(conn)
            row = quarantine.resubmit(conn, quarantine_id, entry=size, now_ms=now_ms, mapping=mapping)
            who = casework.person(conn, actor or self.operator)
            body = {"sha256": row["sha256"], "source": row["source"], "mapping": int(mapping is not None)}
            entry = Entry(Kind.ALERT_RESUBMITTED, now_ms, who, str(quarantine_id), str(quarantine_id), body)
            ledger.append(conn, [(entry, "")])

    def import_inventory(self, found: Inventory, origin: str, mode: str = "merge", actor: str = "") -> dict[str, int]:
        """Take assets and identities in; ``merge`` keeps those that the file does not name, ``replace`` does not."""
        now_ms = self._clock.now_ms()
        with writing(self._engine) as conn:
            ledger.lock_head(conn)
            blob = evidence.pack("inventory", found)
            evidence.put(conn, [blob])
            inventory.save(conn, found, mode=mode)
            counts = {"assets": len(found.assets), "identities": len(found.identities)}
            body = {"blob": blob.digest, "mode": mode, **counts}
            who = casework.person(conn, actor or self.operator)
            entry = Entry(Kind.INVENTORY_IMPORTED, now_ms, who, origin, "command", body)
            ledger.append(conn, [(entry, "")])
        return counts

    def stop(self, scope: str, reason: str, actor: str = "") -> None:
        """Kill switch: the agent closes nothing in this scope (``*``: in none) from the next micro-batch on."""
        with writing(self._engine) as conn:
            switches.switch(conn, scope, reason, actor or self.operator, self._clock.now_ms(), stop=True)

    def resume(self, scope: str, reason: str, actor: str = "") -> None:
        """Lift a kill switch; no stage changes."""
        with writing(self._engine) as conn:
            switches.switch(conn, scope, reason, actor or self.operator, self._clock.now_ms(), stop=False)

    def issue_token(self, source: str, days: int = TOKEN_DAYS_DEFAULT, actor: str = "") -> str:
        """A new token: intake of one source, or a reserved name such as ``api:read``; only its hash is kept."""
        now_ms = self._clock.now_ms()
        token = f"cs_{source.replace(':', '-')}_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        expires = now_ms + days * DAY_MS
        with writing(self._engine) as conn:
            ledger.lock_head(conn)
            row = {"hash": digest, "source": source, "created_ms": now_ms, "expires_ms": expires}
            insert_new(conn, t.tokens, [row])
            who = casework.person(conn, actor or self.operator)
            body = {"source": source, "expires": expires, "hash": digest}
            ledger.append(conn, [(Entry(Kind.TOKEN_ISSUED, now_ms, who, source, "command", body), "")])
        return token
