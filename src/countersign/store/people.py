"""People who may approve, and their public keys. The first is trusted on first use; every other one is a change that an
enrolled approver signs, so that nobody who merely runs commands lets themselves in.

Entries name a person by pseudonym and hold the whole public key: a stranger checks signatures from the ledger alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from countersign.approvals import sshsig
from countersign.approvals.change import Change
from countersign.approvals.signed import APPROVER, Enrolled, said
from countersign.errors import ConflictError, NotFoundError
from countersign.model.entries import Entry, Kind
from countersign.store import accounts, casework, ledger, words
from countersign.store import tables as t
from countersign.store.effects import Approved, Effect
from countersign.store.sql import insert_new

ENROL = "person.enrol"
_NAME = "person:"


def enrolled(conn: Connection) -> tuple[Enrolled, ...]:
    """Every key ever enrolled, the oldest first."""
    columns = [t.people.c[name] for name in Enrolled.__struct_fields__]
    return tuple(Enrolled(*row) for row in conn.execute(select(*columns).order_by(t.people.c.entry)))


def names(conn: Connection) -> dict[str, str]:
    """Pseudonym → name, of the people whom the key table still knows."""
    p = t.pseudonyms.c
    found = conn.execute(select(p.pseudonym, p.value).where(p.value.startswith(_NAME)))
    return {row.pseudonym: row.value.removeprefix(_NAME) for row in found}


def is_first(conn: Connection) -> bool:
    """Whether nobody was ever enrolled. Revoking everybody does not bring this back."""
    return accounts.nobody_yet(conn)


def enrol_first(conn: Connection, name: str, key: sshsig.PublicKey, who: str, now_ms: int) -> None:
    """Trust on first use, by whoever holds the data directory. Raises ConflictError once somebody was ever enrolled."""
    size, _ = ledger.lock_head(conn)
    if not is_first(conn):
        raise ConflictError("somebody is enrolled already", where="people", todo="have an enrolled approver sign for it")
    of, by = casework.person(conn, name), casework.person(conn, who)
    body = _body(key, change=-1)
    apply_enrolled(conn, of.id, body, size, now_ms)
    ledger.append(conn, [(Entry(Kind.PERSON_ENROLLED, now_ms, by, of.id, "command", body), "")])


def enrolment(conn: Connection, name: str, key: sshsig.PublicKey) -> Change:
    """The change that would enrol a person; the person asks, so another must sign."""
    of = casework.person(conn, name)
    evidence: dict[str, str | int] = {"entitlement": APPROVER, "fingerprint": key.fingerprint}
    return Change(change=ENROL, subject=of.id, was="", to=key.line, requester=of, evidence=evidence)


def _known(conn: Connection, change: Change) -> str:
    """Where the key stands: "" as long as nobody was enrolled with it."""
    held = next((one for one in enrolled(conn) if one.key == change.to), None)
    if held is None:
        return ""
    return "revoked" if held.revoked_ms else "enrolled"


def _enrol(conn: Connection, approved: Approved, now_ms: int) -> None:
    size, _ = ledger.lock_head(conn)
    body = _body(sshsig.parse_key(approved.change.to), change=approved.id)
    apply_enrolled(conn, approved.change.subject, body, size, now_ms)
    entry = Entry(Kind.PERSON_ENROLLED, now_ms, approved.by, approved.change.subject, str(approved.entry), body)
    ledger.append(conn, [(entry, "")])


EFFECT = Effect(_known, _enrol)


def revoke(conn: Connection, name: str, reason: str, who: str, now_ms: int, *, last: bool = False) -> int:
    """Take the entitlement away: every key of this person, from now on. Returns how many keys.

    Needs no signature, since it only ever closes a way. Raises NotFoundError, and ConflictError for the last approver
    unless ``last``: nobody could then be enrolled again.
    """
    ledger.lock_head(conn)
    reason = words.hidden(conn, said(reason))
    of = casework.person(conn, name)
    held = [one for one in enrolled(conn) if not one.revoked_ms]
    keys = [one.fingerprint for one in held if one.person == of.id]
    if not keys:
        raise NotFoundError(f"nobody called {name!r} is enrolled", where="people", todo="see `countersign people list`")
    if len(keys) == len(held) and not last:
        todo = "enrol another first, or say --last"
        raise ConflictError("after the last approver nothing could be approved any more", where="people", todo=todo)
    by = casework.person(conn, who)
    body = {"reason": reason, "fingerprints": keys}
    apply_revoked(conn, of.id, now_ms)
    ledger.append(conn, [(Entry(Kind.PERSON_REVOKED, now_ms, by, of.id, "command", body), "")])
    return len(keys)


def apply_enrolled(conn: Connection, person: str, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Row of a key."""
    row = {
        "fingerprint": body["fingerprint"],
        "person": person,
        "key": body["key"],
        "entitlement": body["entitlement"],
        "enrolled_ms": now_ms,
        "revoked_ms": 0,
        "entry": entry,
    }
    insert_new(conn, t.people, [row])


def apply_revoked(conn: Connection, person: str, now_ms: int) -> None:
    """Rows of a person who may no longer approve."""
    mine = (t.people.c.person == person) & (t.people.c.revoked_ms == 0)
    conn.execute(update(t.people).where(mine).values(revoked_ms=now_ms))


def _body(key: sshsig.PublicKey, *, change: int) -> dict[str, Any]:
    """change: number of the change that enrolled, -1 for the first person."""
    return {"key": key.line, "fingerprint": key.fingerprint, "entitlement": APPROVER, "change": change}
