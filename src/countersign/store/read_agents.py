"""What the Agents page shows: who is enrolled, what each did lately, which leases are live, and what was refused."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.authority.agents import AGENTS
from countersign.ledger.canonical import decode
from countersign.model.entries import Entry, Kind
from countersign.store import agents, leases, ledger
from countersign.store import tables as t
from countersign.store.agents import BUILT_IN, Registered
from countersign.store.read import people

LEASES_READ = 200
"""How many of the newest leases are looked through."""
DEEDS_SHOWN = 4
LIVE_SHOWN = 4
_ABOUT = (Kind.AGENT_REGISTERED, Kind.AGENT_STOPPED, Kind.AGENT_RESUMED, Kind.AGENT_RETIRED, Kind.LEASE_REFUSED)
_ORDER = ("triage", *(name for name in AGENTS if name != "triage"))
"""The one whose tasks come first, then those it hands parts of them on to."""
_MARKS = (*_ABOUT, Kind.LEASE_ISSUED, Kind.LEASE_REVOKED)


class Deed(msgspec.Struct, frozen=True):
    """One thing that an agent did, or that was done about it. who: person's name or pseudonym, "" for the agent itself."""

    entry: int
    time_ms: int
    kind: str
    body: dict[str, Any]
    who: str = ""


class Held(msgspec.Struct, frozen=True):
    """A lease as its holder has it."""

    id: str
    entry: int
    task: str
    case: str
    operations: tuple[str, ...]
    resources: tuple[str, ...]
    until_ms: int
    since: str
    """Agent that handed it on, "" for the task's own."""


class AgentView(msgspec.Struct, frozen=True):
    """One agent. owner: in clear where known. live: leases that can still be used, the newest first, of ``lives``. leases:
    how many of the newest were its own or handed on to it."""

    agent: Registered
    owner: str
    deeds: tuple[Deed, ...]
    live: tuple[Held, ...]
    lives: int
    leases: int


def mark(conn: Connection) -> str:
    """Changes when the page would show something else."""
    return str(max(ledger.last_index(conn, kind) for kind in _MARKS))


def views(conn: Connection, now_ms: int) -> tuple[AgentView, ...]:
    """Every agent, those of the product first."""
    everyone = agents.everyone(conn)
    issued = leases.newest(conn, LEASES_READ)
    gone = set(conn.execute(select(t.revoked_leases.c.id)).scalars())
    names = people(conn, {one.owner for one in everyone if one.owner != BUILT_IN})
    told = _told(conn)
    places = {name: place for place, name in enumerate(_ORDER)}
    ordered = sorted(everyone, key=lambda one: places.get(one.name, len(places)))
    return tuple(_view(one, names.get(one.owner, one.owner), issued, gone, told, now_ms) for one in ordered)


def _view(
    one: Registered,
    owner: str,
    issued: tuple[leases.Issued, ...],
    gone: set[str],
    told: dict[str, list[Deed]],
    now_ms: int,
) -> AgentView:
    mine = [(lease, held) for lease in issued for held in _holds(lease, one.name)]
    deeds = [Deed(lease.entry, lease.issued_ms, "", lease.body | {"since": held.since}) for lease, held in mine]
    deeds += told.get(one.name, [])
    deeds.sort(key=lambda deed: -deed.entry)
    usable = one.state == "running"
    live = [held for lease, held in mine if usable and lease.state(now_ms) == "live" and held.id not in gone]
    return AgentView(one, owner, tuple(deeds[:DEEDS_SHOWN]), tuple(live[:LIVE_SHOWN]), len(live), len(mine))


def _holds(lease: leases.Issued, name: str) -> list[Held]:
    body = lease.body
    about = (lease.entry, body["task"], body.get("case", ""))
    until_ms = int(body.get("expires_ms", 0))
    if body["agent"] == name:
        return [Held(lease.id, *about, tuple(body["operations"]), tuple(body["resources"]), until_ms, "")]
    return [
        Held(one["id"], *about, tuple(one["operations"]), tuple(one["resources"]), until_ms, body["agent"])
        for one in body.get("handed", ())
        if one["to"] == name
    ]


def _told(conn: Connection) -> dict[str, list[Deed]]:
    """What was done about each agent, and what was refused to it."""
    e = t.entries.c
    kinds = [kind.value for kind in _ABOUT]
    rows = conn.execute(select(e.idx, e.bytes).where(e.kind.in_(kinds)).order_by(e.idx.desc()).limit(LEASES_READ))
    found: list[tuple[int, Entry]] = [(row.idx, decode(row.bytes)) for row in rows]
    names = people(conn, {entry.actor.id for _, entry in found if entry.actor.type == "human"})
    told: dict[str, list[Deed]] = {}
    for index, entry in found:
        who = names.get(entry.actor.id, entry.actor.id) if entry.actor.type == "human" else ""
        told.setdefault(entry.subject, []).append(Deed(index, entry.time, entry.kind.value, entry.body, who))
    return told
