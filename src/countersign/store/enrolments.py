"""One-time links with which a person enrols a passkey. The link is shown once; its SHA-256 is kept until it is used or old.

Three kinds: of the first person (trusted on first use), of somebody who may do nothing yet that approvers must sign for, and
of anybody else, which counts only once approvers signed.
"""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, delete, select, update

from countersign.authority.roles import APPROVER, POWERS, Role
from countersign.errors import RefusedError
from countersign.model.entries import Actor, Entry
from countersign.model.entries import Kind as EntryKind
from countersign.store import accounts, ledger
from countersign.store import tables_people as tp
from countersign.store.sql import insert_new

FIRST_MS = 3_600_000
INVITE_MS = 3 * 86_400_000
FIRST_ROLES = (Role.ADMIN.value, Role.LEAD.value, APPROVER)
_OVER = RefusedError("this link has been used, or is too old", where="enrolment", todo="ask for a new one")


class Kind(StrEnum):
    """What a link may do."""

    FIRST = "first"
    INVITE = "invite"
    SIGNED = "signed"


class Link(msgspec.Struct, frozen=True):
    """One link without its secret."""

    hash: str
    person: str
    kind: Kind
    expires_ms: int


def digest(token: str) -> str:
    """Under which a link is kept."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def issue(conn: Connection, person: str, kind: Kind, by: Actor, now_ms: int, token: str = "") -> str:
    """A link's token. Raises RefusedError where this person or this moment does not allow the kind."""
    ledger.lock_head(conn)
    token = token or new_token()
    link = Link(digest(token), person, kind, now_ms + (FIRST_MS if kind is Kind.FIRST else INVITE_MS))
    _allowed(conn, link)
    keep(conn, link, by, now_ms)
    return token


def keep(conn: Connection, link: Link, by: Actor, now_ms: int) -> None:
    """Row and entry of a link; a person's older links end."""
    conn.execute(
        delete(tp.enrolments).where((tp.enrolments.c.person == link.person) | (tp.enrolments.c.expires_ms <= now_ms))
    )
    row = {"hash": link.hash, "person": link.person, "kind": link.kind.value, "expires_ms": link.expires_ms, "used_ms": 0}
    insert_new(conn, tp.enrolments, [row])
    body = {"hash": link.hash, "expires": link.expires_ms}
    ledger.append(conn, [(Entry(EntryKind.PERSON_INVITED, now_ms, by, link.person, "command", body), "")])


def find(conn: Connection, token: str, now_ms: int) -> Link:
    """The link of a token. Raises RefusedError when it is unknown, used or expired, or may do nothing any more."""
    e = tp.enrolments.c
    statement = select(e.hash, e.person, e.kind, e.expires_ms).where(e.hash == digest(token), e.used_ms == 0)
    row = conn.execute(statement.where(e.expires_ms > now_ms)).first()
    if row is None:
        raise _OVER
    link = Link(row.hash, row.person, Kind(row.kind), row.expires_ms)
    _allowed(conn, link)
    return link


def use(conn: Connection, link: Link, now_ms: int) -> None:
    """It is used up. Raises RefusedError when somebody else was faster."""
    mine = (tp.enrolments.c.hash == link.hash) & (tp.enrolments.c.used_ms == 0)
    if conn.execute(update(tp.enrolments).where(mine).values(used_ms=now_ms)).rowcount != 1:
        raise _OVER


def end(conn: Connection, person: str) -> None:
    """Whatever links a person has end."""
    conn.execute(delete(tp.enrolments).where(tp.enrolments.c.person == person))


def _allowed(conn: Connection, link: Link) -> None:
    if link.kind is Kind.FIRST and not accounts.nobody_yet(conn):
        raise RefusedError("somebody is enrolled already", where="enrolment", todo="ask an admin for an invitation")
    if link.kind is Kind.INVITE and POWERS & set(accounts.roles(conn, link.person)):
        todo = "have approvers sign for a new link: `countersign people invite`"
        raise RefusedError("whoever may do this much adds passkeys when signed in with one", where="enrolment", todo=todo)
