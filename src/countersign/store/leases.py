"""Leases as the site deals in them: minted for a task, entered, checked against what is revoked now, refused on record.

Whatever is written under a lease names it, and its ``lease.issued`` names the key of its agent and carries that key's
signature, so a stranger can tell from the ledger alone which agent took a task on, and with which limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, func, select

from countersign.authority import lease as tokens
from countersign.authority.agents import Operation, fingerprint
from countersign.authority.grant import CASES, FINDINGS, Authority, Grant, Part, case, lookup, running, take
from countersign.authority.terms import Refusal, Revocations, Use
from countersign.errors import ConflictError, NotFoundError
from countersign.ledger.canonical import decode
from countersign.ledger.mandates import is_signed, message
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import agents, ledger, words
from countersign.store import tables as t
from countersign.store.act import NOTHING, Act, required_reason
from countersign.store.engine import reading, writing
from countersign.store.sql import insert_new_rows, upsert

_EVERY_TASK = "*"
_SYSTEM = Actor("system", "countersign")


class Issued(msgspec.Struct, frozen=True):
    """A lease as the ledger tells it. signed: whether the signature is that of its agent's registered key."""

    id: str
    entry: int
    issued_ms: int
    body: dict[str, Any]
    signed: bool
    revoked: bool

    def state(self, now_ms: int) -> str:
        """live, ended or revoked."""
        if self.revoked:
            return "revoked"
        return "live" if now_ms < int(self.body.get("expires_ms", 0)) else "ended"


class Leases:
    """Mints and checks. root: the agent root key. seeds: private keys of the agents, by name (asked for when needed)."""

    def __init__(self, root: bytes, seed: Callable[[str], bytes]) -> None:
        self._root = root
        self._public = tokens.public_key(root)
        self._seed = seed
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def known(self, conn: Connection, now_ms: int) -> Authority:
        """Registry and revocations as of now."""
        everyone = agents.everyone(conn)
        stopped = frozenset(one.name for one in everyone if one.stopped >= 0)
        live = select(t.revoked_leases.c.id).where(t.revoked_leases.c.until_ms > now_ms)
        revoked = Revocations(frozenset(conn.execute(live).scalars()), now_ms, stopped)
        return Authority(self._root, self._public, agents.running(everyone), revoked)

    def batch(self, conn: Connection, task: str, now_ms: int, lookups: Sequence[str]) -> Grant:
        """What a micro-batch needs: triage's lease, narrowed for the enricher and the correlator."""
        parts = [
            Part("enricher", Operation.LOOKUP, tuple(lookup(name) for name in lookups)),
            Part("correlator", Operation.LINK, (CASES,)),
            Part("triage", Operation.DECIDE, (FINDINGS,)),
        ]
        return take(self.known(conn, now_ms), Use(task, now_ms), "triage", [part for part in parts if part.resources])

    def run(self, conn: Connection, action: str, task: str, ident: str, now_ms: int, targets: Sequence[str]) -> Grant:
        """What the responder needs to carry one approved action of a case out, on these targets and no others."""
        part = Part("responder", Operation.RUN, (running(action), *targets))
        return take(self.known(conn, now_ms), Use(task, now_ms, ident), "responder", [part])

    def case(self, engine: Engine, ident: str, now_ms: int) -> Grant:
        """What drafts about one case need; nothing is written but what is refused."""
        parts = [Part("investigator", one, (case(ident),)) for one in (Operation.SUMMARISE, Operation.PROPOSE)]
        with reading(engine) as conn:
            granted = take(self.known(conn, now_ms), Use(f"draft-{ident}", now_ms, ident), "investigator", parts)
            new = granted.refusals and unrecorded(conn, granted.refusals)
        if new:
            with writing(engine) as conn:
                record(conn, granted.refusals, now_ms)
        return granted

    def issued(self, granted: Grant, **about: int) -> dict[str, Any]:
        """Body of the lease's entry, with the key of its agent and that key's signature."""
        assert granted.lease is not None  # noqa: S101 - whoever has none writes no such entry
        key = self._key(granted.lease.agent)
        body = granted.body() | about | {"key": fingerprint(key.public_key().public_bytes_raw())}
        return body | {"signature": key.sign(message(granted.lease.id, body)).hex()}

    def _key(self, name: str) -> Ed25519PrivateKey:
        if name not in self._keys:
            self._keys[name] = Ed25519PrivateKey.from_private_bytes(self._seed(name))
        return self._keys[name]


def public_of(seed: bytes) -> str:
    """Public half of an agent's key, hex."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def newest(conn: Connection, limit: int) -> tuple[Issued, ...]:
    """The leases issued last, newest first."""
    e = t.entries.c
    statement = select(e.idx, e.bytes).where(e.kind == Kind.LEASE_ISSUED.value).order_by(e.idx.desc()).limit(limit)
    return _issued(conn, [(row.idx, decode(row.bytes)) for row in conn.execute(statement)])


def find(conn: Connection, ident: str, now_ms: int) -> tuple[Issued, str]:
    """The lease of this id, or the one from which this id was handed on, with the agent that it was handed to. Raises
    NotFoundError. One that can still be used was issued within the longest life of a lease."""
    e = t.entries.c
    statement = select(e.idx, e.bytes).where(e.kind == Kind.LEASE_ISSUED.value, e.subject == ident)
    for row in conn.execute(statement):
        found = _issued(conn, [(row.idx, decode(row.bytes))])[0]
        return found, found.body["agent"]
    recent = select(e.idx, e.bytes).where(e.kind == Kind.LEASE_ISSUED.value, e.time_ms > now_ms - tokens.LEASE_MS_MAX)
    for row in conn.execute(recent.order_by(e.idx.desc())):
        entry = decode(row.bytes)
        for one in entry.body.get("handed", ()):
            if one["id"] == ident:
                return _issued(conn, [(row.idx, entry)])[0], one["to"]
    raise NotFoundError("no such lease", where=ident[:40], todo="`countersign leases list` shows them")


def _issued(conn: Connection, found: Sequence[tuple[int, Entry]]) -> tuple[Issued, ...]:
    keys = agents.public_keys(conn)
    gone = set(conn.execute(select(t.revoked_leases.c.id)).scalars()) if found else set()
    return tuple(
        Issued(
            id=entry.subject,
            entry=index,
            issued_ms=entry.time,
            body=entry.body,
            signed=is_signed(entry.subject, entry.body, keys.get((entry.body["agent"], entry.body.get("key", "")), "")),
            revoked=entry.subject in gone,
        )
        for index, entry in found
    )


def revoke(conn: Connection, ident: str, reason: str, who: str, now_ms: int) -> Issued:
    """No use of this lease, nor of what was handed on from it, passes from the next check on. Raises NotFoundError, and
    ConflictError when there is nothing left to revoke."""
    act = Act(conn, who, now_ms, NOTHING)
    found, holder = find(conn, ident, now_ms)
    until_ms = int(found.body.get("expires_ms", 0))
    gone = conn.execute(select(func.count()).select_from(t.revoked_leases).where(t.revoked_leases.c.id == ident)).scalar()
    if gone or now_ms >= until_ms:
        state = "revoked" if gone else "at its end"
        raise ConflictError(f"lease is {state} already", where=ident, todo="nothing more is needed")
    why = words.hidden(conn, required_reason(reason))
    body = {"reason": why, "agent": holder, "task": found.body["task"], "until_ms": until_ms}
    index = act.enter(Kind.LEASE_REVOKED, ident, "command", body)
    apply_revoked(conn, ident, body, index, now_ms)
    act.finish()
    return found


def apply_revoked(conn: Connection, ident: str, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Row of a revoked lease."""
    row = {"id": ident, "until_ms": body["until_ms"], "at_ms": now_ms, "entry": entry}
    upsert(conn, t.revoked_leases, [row])


def refused(conn: Connection, refusals: Sequence[Refusal], first: int, now_ms: int) -> list[Entry]:
    """Entries of refusals, one a task and reason, ever; of a stopped agent one a stop, whatever the task. ``first``: index
    of the first of them. The caller appends them."""
    entries: list[Entry] = []
    for one in refusals:
        body = msgspec.structs.asdict(one) | {"once": _once(conn, one)}
        if insert_new_rows(conn, t.lease_refusals, [_row(one.task, body, first + len(entries))]):
            entries.append(Entry(Kind.LEASE_REFUSED, now_ms, _SYSTEM, one.agent, one.task, body))
    return entries


def unrecorded(conn: Connection, refusals: Sequence[Refusal]) -> bool:
    """Whether one of them has no entry yet."""
    r = t.lease_refusals.c
    rows = [_row(one.task, {"reason": one.reason, "once": _once(conn, one)}, 0) for one in refusals]
    return any(
        conn.execute(select(r.entry).where(r.task == task, r.reason == reason)).first() is None for task, reason, _ in rows
    )


def record(conn: Connection, refusals: Sequence[Refusal], now_ms: int) -> None:
    """Enter refusals by themselves."""
    size, _ = ledger.lock_head(conn)
    if entries := refused(conn, refusals, size, now_ms):
        ledger.append(conn, [(entry, "") for entry in entries])


def apply_refused(conn: Connection, body: Mapping[str, Any], entry: int) -> None:
    """Row of a refusal."""
    insert_new_rows(conn, t.lease_refusals, [_row(body["task"], body, entry)])


def _row(task: str, body: Mapping[str, Any], entry: int) -> tuple[str, str, int]:
    return (_EVERY_TASK, body["once"], entry) if body["once"] else (task, body["reason"], entry)


def _once(conn: Connection, one: Refusal) -> str:
    """What is recorded once whatever the task: a stop of an agent, by its entry. "" for everything else."""
    if one.reason != tokens.STOPPED:
        return ""
    entry = conn.execute(select(t.agents.c.stopped).where(t.agents.c.name == one.agent)).scalar()
    return f"{one.agent} stopped by entry {entry}"
