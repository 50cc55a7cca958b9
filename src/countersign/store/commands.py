"""What people do, as one object that the doors call: every method is one transaction with its ledger entry."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from countersign.autonomy.recall import Recalled
from countersign.errors import UsageError
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.inventory import Inventory
from countersign.ports import Clock
from countersign.store import (
    accounts,
    agents,
    casework,
    evidence,
    inventory,
    labelling,
    leases,
    ledger,
    quarantine,
    reviewing,
    switches,
    tokens,
    words,
)
from countersign.store import tables as t
from countersign.store.act import NOTHING, required_reason
from countersign.store.autonomy import InForce
from countersign.store.engine import writing
from countersign.store.sql import insert_new

TOKEN_DAYS_DEFAULT = 365
DAY_MS = 86_400_000
READ_TOKEN = "api:read"  # noqa: S105 - the reserved name of a kind of token, not a secret
"""Stands where an intake token names its source; no source can be called so, and no intake token reads."""


class Commands:
    """Commands of people. operator: who acts when a door does not say. force: model and policy that decide. ask: what the
    gate says of findings at this moment."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        operator: str,
        force: Callable[[], InForce] = lambda: NOTHING,
        ask: labelling.Ask = labelling.ask_nobody,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.operator = operator
        self._force = force
        self._ask = ask

    def dispose(self, case_id: str, disposition: str, reason: str, actor: str = "", version: int | None = None) -> None:
        """Close a case with what a person found."""
        with writing(self._engine) as conn:
            who = actor or self.operator
            now_ms = self._clock.now_ms()
            casework.dispose(conn, case_id, disposition, reason, who, version, now_ms, self._force(), self._ask)

    def reopen(self, case_id: str, reason: str, actor: str = "") -> None:
        """Take a closed case up again."""
        with writing(self._engine) as conn:
            casework.reopen(conn, case_id, reason, actor or self.operator, self._clock.now_ms(), self._force())

    def overturn(self, case_id: str, reason: str, actor: str = "") -> list[Recalled]:
        """Say that a case the agent closed is a threat; returns the closes that go to people with it."""
        with writing(self._engine) as conn:
            now_ms = self._clock.now_ms()
            return casework.overturn(conn, case_id, reason, actor or self.operator, now_ms, self._force(), self._ask)

    def review(self, finding: str, answer: str, reason: str = "", actor: str = "") -> list[Recalled]:
        """Answer a blind review."""
        with writing(self._engine) as conn:
            now_ms = self._clock.now_ms()
            return reviewing.answer(conn, finding, answer, reason, actor or self.operator, now_ms, self._force())

    def demote(self, scope: str, reason: str, actor: str = "") -> None:
        """Take a scope out of the stages that close."""
        with writing(self._engine) as conn:
            switches.demote(conn, scope, reason, actor or self.operator, self._clock.now_ms(), self._force())

    def acknowledge(self, scope: str, reason: str, actor: str = "") -> None:
        """Take note of a scope's alarm or change; its stage stays where it fell."""
        with writing(self._engine) as conn:
            who = actor or self.operator
            switches.acknowledge(conn, scope, reason, who, self._clock.now_ms(), self._force())

    def assign(self, case_id: str, owner: str, actor: str = "") -> None:
        """Give a case to a person, or to nobody."""
        with writing(self._engine) as conn:
            casework.assign(conn, case_id, owner, actor or self.operator, self._clock.now_ms())

    def resubmit(self, quarantine_id: int, actor: str = "", mapping: str | None = None) -> int:
        """Put a quarantined message back into the inbox. Returns the entry that says so: what becomes of it names it."""
        now_ms = self._clock.now_ms()
        with writing(self._engine) as conn:
            size, _ = ledger.lock_head(conn)
            row = quarantine.resubmit(conn, quarantine_id, entry=size, now_ms=now_ms, mapping=mapping)
            who = casework.person(conn, actor or self.operator)
            body = {"sha256": row["sha256"], "source": row["source"], "mapping": int(mapping is not None)}
            entry = Entry(Kind.ALERT_RESUBMITTED, now_ms, who, str(quarantine_id), str(quarantine_id), body)
            ledger.append(conn, [(entry, "")])
        return size

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
            entry = Entry(Kind.INVENTORY_IMPORTED, now_ms, who, words.hidden(conn, origin), "command", body)
            ledger.append(conn, [(entry, "")])
        return counts

    def stop(self, scope: str, reason: str, actor: str = "") -> None:
        """Kill switch: the agent closes nothing in this scope (``*``: in none) from the next micro-batch on."""
        with writing(self._engine) as conn:
            who, now_ms = actor or self.operator, self._clock.now_ms()
            switches.switch(conn, scope, reason, who, now_ms, stop=True, force=self._force())

    def resume(self, scope: str, reason: str, actor: str = "") -> None:
        """Lift a kill switch; no stage changes."""
        with writing(self._engine) as conn:
            who, now_ms = actor or self.operator, self._clock.now_ms()
            switches.switch(conn, scope, reason, who, now_ms, stop=False, force=self._force())

    def stop_agent(self, name: str, reason: str, actor: str = "") -> None:
        """Kill switch of an agent: its leases fail from the next check on, and after a restart too."""
        with writing(self._engine) as conn:
            agents.stop(conn, name, reason, actor or self.operator, self._clock.now_ms())

    def retire_agent(self, name: str, reason: str, actor: str = "") -> None:
        """Take an agent that the site added out for good."""
        with writing(self._engine) as conn:
            agents.retire(conn, name, reason, actor or self.operator, self._clock.now_ms())

    def revoke_lease(self, ident: str, reason: str, actor: str = "") -> leases.Issued:
        """Let no use of a lease, nor of what was handed on from it, pass any more."""
        with writing(self._engine) as conn:
            return leases.revoke(conn, ident, reason, actor or self.operator, self._clock.now_ms())

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

    def issue_api_token(self, name: str, scopes: Sequence[str], days: int, *, person: str = "", agent: str = "") -> str:
        """A new API token, of a person, of an agent, or of a program by the token's own name; only its hash is kept."""
        with writing(self._engine) as conn:
            by = casework.person(conn, self.operator)
            holder = Actor(tokens.AGENT, agent) if agent else Actor(tokens.PROGRAM, name)
            if person:
                holder = casework.person(conn, person)
                if accounts.state(conn, holder.id) != accounts.ACTIVE:
                    todo = f"`countersign people invite {person}`"
                    raise UsageError(f"{person} has no account here", where="--person", todo=todo)
            return tokens.issue(conn, name, scopes, holder, days, by, self._clock.now_ms())

    def revoke_tokens(self, which: str, reason: str) -> int:
        """Revoke API tokens by name or hash; returns how many."""
        with writing(self._engine) as conn:
            by, why = casework.person(conn, self.operator), words.hidden(conn, required_reason(reason))
            return tokens.revoke(conn, which, by, self._clock.now_ms(), why)
