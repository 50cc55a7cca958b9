"""The agents that work here: who owns each, its key, what it may do at most, and its kill switch.

Stopping and retiring close a way, so a person does that at once. Adding and resuming open one, so they are changes that
approvers sign (``store.enlisting``). The built-in agents are registered when a site is first opened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from countersign.authority.agents import AGENTS, Agent, Operation, fingerprint
from countersign.errors import ConflictError, NotFoundError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import ledger, words
from countersign.store import tables as t
from countersign.store.act import NOTHING, Act, required_reason
from countersign.store.sql import upsert

BUILT_IN = "countersign"
"""Owner of the agents that come with the product."""
_SYSTEM = Actor("system", "countersign")


class Registered(msgspec.Struct, frozen=True):
    """One agent as registered. stopped: entry of its stop, -1 while it runs. reason: of that stop. retired_ms: 0 while it
    is enrolled. public_key: Ed25519, hex."""

    name: str
    purpose: str
    owner: str
    public_key: str
    operations: str
    stopped: int
    reason: str
    enrolled_ms: int
    retired_ms: int
    entry: int

    @property
    def fingerprint(self) -> str:
        """Name of its key."""
        return fingerprint(bytes.fromhex(self.public_key))

    @property
    def state(self) -> str:
        """running, stopped or retired."""
        if self.retired_ms:
            return "retired"
        return "running" if self.stopped < 0 else "stopped"

    @property
    def agent(self) -> Agent:
        """As leases take it. What this version does not know of, it cannot let anybody do."""
        known = {operation.value for operation in Operation}
        return Agent(
            self.name, self.purpose, frozenset(Operation(one) for one in self.operations.split(" ") if one in known)
        )


def everyone(conn: Connection) -> tuple[Registered, ...]:
    """Every agent ever registered, those of the product first."""
    columns = [t.agents.c[name] for name in Registered.__struct_fields__]
    return tuple(
        Registered(*row) for row in conn.execute(select(*columns).order_by(t.agents.c.enrolled_ms, t.agents.c.name))
    )


def stopped(conn: Connection) -> tuple[str, ...]:
    """Names of those whose kill switch is on."""
    found = select(t.agents.c.name).where(t.agents.c.stopped >= 0, t.agents.c.retired_ms == 0)
    return tuple(conn.execute(found.order_by(t.agents.c.name)).scalars())


def find(conn: Connection, name: str) -> Registered:
    """One of them. Raises NotFoundError."""
    for one in everyone(conn):
        if one.name == name:
            return one
    raise NotFoundError(f"no agent is called {name!r}", where="agents", todo="see `countersign agents list`")


def register_built_in(conn: Connection, keys: Mapping[str, str], now_ms: int) -> None:
    """Register the product's own agents where they are missing, and anew where this version says something else of them, or
    where a key was lost and made again: the ledger shows it. keys: public keys, hex, by name."""
    held = {one.name: one for one in everyone(conn)}
    wanted = {agent.name: body_of(agent, BUILT_IN, keys[agent.name], -1) for agent in AGENTS.values()}
    new = [(name, body) for name, body in wanted.items() if name not in held or _differs(held[name], body)]
    if not new:
        return
    size, _ = ledger.lock_head(conn)
    for place, (name, body) in enumerate(new):
        apply_registered(conn, name, body, size + place, now_ms)
    ledger.append(conn, [(Entry(Kind.AGENT_REGISTERED, now_ms, _SYSTEM, name, "start", body), "") for name, body in new])


def _differs(held: Registered, body: Mapping[str, Any]) -> bool:
    return any(getattr(held, name) != body[name] for name in ("purpose", "operations", "public_key"))


def public_keys(conn: Connection) -> dict[tuple[str, str], str]:
    """Every key ever registered, hex, by agent and fingerprint."""
    found = ledger.stream_kind(conn, Kind.AGENT_REGISTERED)
    return {(entry.subject, entry.body["key"]): entry.body["public_key"] for _, entry in found}


def stop(conn: Connection, name: str, reason: str, who: str, now_ms: int) -> None:
    """Kill switch: every lease of this agent fails from the next check on. Raises ConflictError when it does not run."""
    act, held = _acting(conn, name, who, now_ms)
    if held.state != "running":
        raise ConflictError(f"agent is {held.state} already", where=name, todo="see `countersign agents list`")
    body = {"reason": words.hidden(conn, required_reason(reason)), "key": held.fingerprint}
    apply_stopped(conn, name, body["reason"], act.enter(Kind.AGENT_STOPPED, name, "command", body))
    act.finish()


def retire(conn: Connection, name: str, reason: str, who: str, now_ms: int) -> None:
    """Take an agent that the site added out for good. Raises ConflictError for one of the product's."""
    act, held = _acting(conn, name, who, now_ms)
    if held.owner == BUILT_IN:
        raise ConflictError("agent belongs to the product", where=name, todo=f"stop it: `countersign agents stop {name}`")
    if held.retired_ms:
        raise ConflictError("agent is retired already", where=name, todo="nothing more is needed")
    body = {"reason": words.hidden(conn, required_reason(reason)), "key": held.fingerprint}
    apply_retired(conn, name, act.enter(Kind.AGENT_RETIRED, name, "command", body), now_ms)
    act.finish()


def _acting(conn: Connection, name: str, who: str, now_ms: int) -> tuple[Act, Registered]:
    return Act(conn, who, now_ms, NOTHING), find(conn, name)


def body_of(agent: Agent, owner: str, public_key: str, change: int) -> dict[str, Any]:
    """Body of ``agent.registered``. change: number of the change that added it, -1 for one of the product's."""
    return {
        "purpose": agent.purpose,
        "owner": owner,
        "public_key": public_key,
        "key": fingerprint(bytes.fromhex(public_key)),
        "operations": " ".join(sorted(agent.operations)),
    } | ({"change": change} if change >= 0 else {})


def apply_registered(conn: Connection, name: str, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Row of an agent. One that is registered anew by a later version keeps its switch."""
    held = next((one for one in everyone(conn) if one.name == name), None)
    row = {
        "name": name,
        "purpose": body["purpose"],
        "owner": body["owner"],
        "public_key": body["public_key"],
        "operations": body["operations"],
        "stopped": held.stopped if held else -1,
        "reason": held.reason if held else "",
        "enrolled_ms": held.enrolled_ms if held else now_ms,
        "retired_ms": 0,
        "entry": entry,
    }
    upsert(conn, t.agents, [row])


def apply_stopped(conn: Connection, name: str, reason: str, entry: int) -> None:
    """Switch on."""
    conn.execute(update(t.agents).where(t.agents.c.name == name).values(stopped=entry, reason=reason, entry=entry))


def apply_resumed(conn: Connection, name: str, entry: int) -> None:
    """Switch off."""
    conn.execute(update(t.agents).where(t.agents.c.name == name).values(stopped=-1, reason="", entry=entry))


def apply_retired(conn: Connection, name: str, entry: int, now_ms: int) -> None:
    """Out for good."""
    conn.execute(update(t.agents).where(t.agents.c.name == name).values(retired_ms=now_ms, entry=entry))


def running(registered: Collection[Registered]) -> dict[str, Agent]:
    """Those that are enrolled, by name; a stopped one is enrolled too."""
    return {one.name: one.agent for one in registered if not one.retired_ms}
