"""Accounts of people and the roles they hold. Every grant is an entry; a rebuild gives the same rows.

Who is first is trusted on first use, by passkey or by SSH key: whichever came first, there is no second first person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, update

from countersign.authority.roles import APPROVER, Right
from countersign.authority.roles import rights as opened_by
from countersign.errors import ConflictError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import ledger, words
from countersign.store import tables as t
from countersign.store import tables_people as tp
from countersign.store.sql import insert_new, upsert

ACTIVE, REVOKED = "active", "revoked"
LOCAL, OIDC = "local", "oidc"
_NAME = "person:"


class Account(msgspec.Struct, frozen=True):
    """One person. name: "" when the key table no longer knows it. roles: with the entitlement ``approver`` among them."""

    person: str
    name: str
    state: str
    roles: tuple[str, ...]


def nobody_yet(conn: Connection) -> bool:
    """Whether nobody was ever given the entitlement to approve. Revoking everybody does not bring this back."""
    if ledger.last_index(conn, Kind.PERSON_ENROLLED) >= 0:
        return False
    return not any(APPROVER in entry.body["roles"] for _, entry in ledger.stream_kind(conn, Kind.ROLE_GRANTED))


def state(conn: Connection, person: str) -> str:
    """ "active", "revoked", or "" when there is no account."""
    return conn.execute(select(tp.accounts.c.state).where(tp.accounts.c.person == person)).scalar() or ""


def roles(conn: Connection, person: str) -> tuple[str, ...]:
    """Roles of a person, ``approver`` among them where it was granted; sorted. The entitlement of an SSH key is not here:
    it counts for what that key signs, and passes to no passkey."""
    if state(conn, person) == REVOKED:
        return ()
    return tuple(sorted(set(conn.execute(select(tp.grants.c.role).where(tp.grants.c.person == person)).scalars())))


def rights(conn: Connection, person: str) -> frozenset[Right]:
    """What a person may do now."""
    return opened_by(roles(conn, person))


def name_of(conn: Connection, person: str) -> str:
    """Name behind a pseudonym, "" when its key is gone."""
    found = conn.execute(select(t.pseudonyms.c.value).where(t.pseudonyms.c.pseudonym == person)).scalar() or ""
    return found.removeprefix(_NAME)


def accounts(conn: Connection) -> tuple[Account, ...]:
    """Everybody who has an account or an SSH key, by pseudonym."""
    states = {row.person: row.state for row in conn.execute(select(tp.accounts.c.person, tp.accounts.c.state))}
    keys = dict.fromkeys(conn.execute(select(t.people.c.person)).scalars(), ACTIVE)
    everybody = sorted(keys | states)
    return tuple(Account(one, name_of(conn, one), states.get(one, ACTIVE), roles(conn, one)) for one in everybody)


def grant(
    conn: Connection,
    person: str,
    given: Iterable[str],
    by: Actor,
    now_ms: int,
    *,
    source: str = LOCAL,
    change: int = -1,
    trigger: str = "command",
) -> tuple[str, ...]:
    """Give roles that the person does not hold from this source yet; returns those. change: number of the approved change,
    -1 where none was needed."""
    size, _ = ledger.lock_head(conn)
    new = sorted(set(given) - set(held(conn, person, source)))
    if not new and state(conn, person) == ACTIVE:
        return ()
    body = {"roles": new, "source": source, "change": change}
    apply_granted(conn, person, body, size, now_ms)
    ledger.append(conn, [(Entry(Kind.ROLE_GRANTED, now_ms, by, person, trigger, body), "")])
    return tuple(new)


def take(
    conn: Connection,
    person: str,
    taken: Iterable[str],
    by: Actor,
    now_ms: int,
    *,
    source: str = LOCAL,
    reason: str = "",
    trigger: str = "command",
) -> tuple[str, ...]:
    """Take roles away; returns those that were held. Needs no signature: it only closes a way."""
    size, _ = ledger.lock_head(conn)
    gone = sorted(set(taken) & set(held(conn, person, source)))
    if not gone:
        return ()
    body = {"roles": gone, "source": source, "reason": words.hidden(conn, reason), "whole": 0}
    apply_taken(conn, person, body, size)
    ledger.append(conn, [(Entry(Kind.ROLE_REVOKED, now_ms, by, person, trigger, body), "")])
    return tuple(gone)


def close(conn: Connection, person: str, by: Actor, now_ms: int, reason: str) -> None:
    """Take everything away: the account counts for nothing until it is invited anew."""
    size, _ = ledger.lock_head(conn)
    if state(conn, person) != ACTIVE:
        return
    held = sorted(set(conn.execute(select(tp.grants.c.role).where(tp.grants.c.person == person)).scalars()))
    body = {"roles": held, "source": "", "reason": words.hidden(conn, reason), "whole": 1}
    apply_taken(conn, person, body, size)
    ledger.append(conn, [(Entry(Kind.ROLE_REVOKED, now_ms, by, person, "command", body), "")])


def apply_granted(conn: Connection, person: str, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Rows of a grant; a person who was revoked is active again."""
    insert_new(conn, tp.accounts, [{"person": person, "state": ACTIVE, "since_ms": now_ms, "entry": entry}])
    mine = tp.accounts.c.person == person
    conn.execute(update(tp.accounts).where(mine).values(state=ACTIVE, entry=entry))
    row = {"person": person, "source": body["source"], "since_ms": now_ms, "entry": entry}
    upsert(conn, tp.grants, [row | {"role": role} for role in body["roles"]])


def apply_taken(conn: Connection, person: str, body: Mapping[str, Any], entry: int) -> None:
    """Rows of a revocation."""
    g, mine = tp.grants.c, tp.accounts.c.person == person
    if body["whole"]:
        conn.execute(delete(tp.grants).where(g.person == person))
        conn.execute(update(tp.accounts).where(mine).values(state=REVOKED, entry=entry))
        return
    conn.execute(delete(tp.grants).where(g.person == person, g.source == body["source"], g.role.in_(body["roles"])))
    conn.execute(update(tp.accounts).where(mine).values(entry=entry))


def must_be_active(conn: Connection, person: str) -> None:
    """Raises ConflictError when the account was revoked."""
    if state(conn, person) == REVOKED:
        raise ConflictError("this account was revoked", where="sign-in", todo="ask an admin for a new invitation")


def held(conn: Connection, person: str, source: str) -> Sequence[str]:
    """Roles that a person holds from one source."""
    g = tp.grants.c
    return conn.execute(select(g.role).where(g.person == person, g.source == source)).scalars().all()
