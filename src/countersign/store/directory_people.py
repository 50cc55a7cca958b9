"""People whom a directory vouches for: one identity is one person, and its groups give and take roles at each sign-in.

A directory never gives the entitlement to approve: that takes a change which approvers sign.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, select

from countersign.authority.roles import APPROVER
from countersign.errors import RefusedError
from countersign.model.entries import Actor
from countersign.store import accounts, casework, sessions
from countersign.store import tables as t
from countersign.store import tables_people as tp
from countersign.store.sql import insert_new


def person(conn: Connection, issuer: str, subject: str, name: str) -> str:
    """Pseudonym of an identity. Raises RefusedError when its name is already somebody else's here: who can choose a name at
    the directory must not become that person."""
    key = hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()
    known = conn.execute(select(tp.identities.c.person).where(tp.identities.c.subject == key)).scalar()
    if known is not None:
        return str(known)
    of = casework.person(conn, name).id
    others = (
        select(tp.accounts.c.person).where(tp.accounts.c.person == of),
        select(tp.identities.c.person).where(tp.identities.c.person == of),
        select(t.people.c.person).where(t.people.c.person == of),
    )
    if any(conn.execute(other).first() is not None for other in others):
        todo = "have an admin revoke the old account's roles, or change the name at the directory"
        raise RefusedError("an account of that name is here already, of somebody else", where="sign-in", todo=todo)
    insert_new(conn, tp.identities, [{"subject": key, "person": of}])
    return of


def follow(conn: Connection, of: str, given: tuple[str, ...], now_ms: int) -> tuple[str, ...]:
    """Let the person hold exactly these roles from the directory; returns all that they hold then, from wherever."""
    accounts.must_be_active(conn, of)
    by, wanted = Actor("system", "directory"), set(given) - {APPROVER}
    held = accounts.held(conn, of, accounts.OIDC)
    accounts.take(conn, of, set(held) - wanted, by, now_ms, source=accounts.OIDC, reason="groups", trigger="oidc")
    if wanted:
        accounts.grant(conn, of, wanted, by, now_ms, source=accounts.OIDC, trigger="oidc")
    return accounts.roles(conn, of)


def sign_in(conn: Connection, of: str, hint: str, now_ms: int, agent: str) -> str:
    """Token of a new session. hint: the ID token, with which the provider ends its own session later."""
    token = sessions.start(conn, of, sessions.OIDC, now_ms, agent=agent, hint=hint)
    sessions.signed_in(conn, of, sessions.OIDC, now_ms)
    return token
