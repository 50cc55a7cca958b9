"""Sessions of people: only the SHA-256 of a cookie is kept; idle and absolute ends; ended one by one or everywhere."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, select, update

from countersign.authority.roles import LOCAL, Right
from countersign.authority.roles import rights as opened_by
from countersign.errors import RefusedError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import accounts, ledger
from countersign.store import tables_people as tp
from countersign.store.sql import insert_new

IDLE_MS = 4 * 3_600_000
SESSION_MS = 12 * 3_600_000
TOUCH_MS = 60_000
"""How stale ``seen_ms`` may be: a look at a page is not worth a write each time."""
AGENT_CHARS_MAX = 160
LINK, PASSKEY, OIDC = "link", "passkey", "oidc"


class Session(msgspec.Struct, frozen=True):
    """One session. how: ``link``, ``passkey`` or ``oidc``. auth_ms: when its person proved who they are."""

    hash: str
    person: str
    how: str
    auth_ms: int
    created_ms: int
    seen_ms: int
    ends_ms: int
    agent: str
    hint: str


class Who(msgspec.Struct, frozen=True):
    """Whom a session speaks for at this moment."""

    session: Session
    name: str
    roles: tuple[str, ...]
    rights: frozenset[Right]


def digest(token: str) -> str:
    """Under which a session is kept."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def start(conn: Connection, person: str, how: str, now_ms: int, *, agent: str = "", hint: str = "") -> str:
    """A new session; returns its token, which is nowhere else. Sessions that have ended are swept away."""
    s = tp.sessions.c
    conn.execute(delete(tp.sessions).where((s.ends_ms <= now_ms) | (s.seen_ms <= now_ms - IDLE_MS)))
    token = secrets.token_urlsafe(32)
    row = {"hash": digest(token), "person": person, "how": how, "auth_ms": now_ms, "created_ms": now_ms, "seen_ms": now_ms}
    more = {"ends_ms": now_ms + SESSION_MS, "agent": agent[:AGENT_CHARS_MAX], "hint": hint}
    insert_new(conn, tp.sessions, [row | more])
    return token


def who(conn: Connection, token: str, now_ms: int) -> Who | None:
    """Whom a token speaks for; None when the session is unknown or over, or the account was revoked."""
    row = conn.execute(_columns().where(tp.sessions.c.hash == digest(token))).first()
    if row is None:
        return None
    found = Session(*row)
    if found.ends_ms <= now_ms or found.seen_ms + IDLE_MS <= now_ms:
        return None
    if accounts.state(conn, found.person) == accounts.REVOKED:
        return None
    roles = accounts.roles(conn, found.person)
    rights = opened_by(roles) - {Right.APPROVE} | LOCAL if found.how == LINK else opened_by(roles)
    return Who(found, accounts.name_of(conn, found.person), roles, rights)


def get(conn: Connection, hash_: str) -> Session:
    """A session by its hash. Raises RefusedError when it is over."""
    row = conn.execute(_columns().where(tp.sessions.c.hash == hash_)).first()
    if row is None:
        raise RefusedError("the session has ended", where="sign-in", todo="sign in again")
    return Session(*row)


def touch(conn: Connection, hash_: str, now_ms: int) -> None:
    """The person did something."""
    conn.execute(update(tp.sessions).where(tp.sessions.c.hash == hash_).values(seen_ms=now_ms))


def of(conn: Connection, person: str, now_ms: int) -> tuple[Session, ...]:
    """A person's sessions that go on, the newest first."""
    s = tp.sessions.c
    going = (s.person == person) & (s.ends_ms > now_ms) & (s.seen_ms > now_ms - IDLE_MS)
    return tuple(Session(*row) for row in conn.execute(_columns().where(going).order_by(s.created_ms.desc(), s.hash)))


def end(conn: Connection, person: str, hashes: list[str] | None, by: Actor, now_ms: int) -> int:
    """End these sessions of a person, or all of them (None); returns how many went on until now."""
    s = tp.sessions.c
    mine = s.person == person
    if hashes is not None:
        mine &= s.hash.in_(hashes)
    size, _ = ledger.lock_head(conn)
    gone = conn.execute(delete(tp.sessions).where(mine)).rowcount
    if gone:
        body = {"sessions": gone, "everywhere": int(hashes is None)}
        ledger.append(conn, [(Entry(Kind.PERSON_SIGNED_OUT, now_ms, by, person, str(size), body), "")])
    return gone


def signed_in(conn: Connection, person: str, how: str, now_ms: int, credential: str = "") -> None:
    """Record that a person came in."""
    ledger.lock_head(conn)
    body = {"how": how, "credential": credential}
    ledger.append(conn, [(Entry(Kind.PERSON_SIGNED_IN, now_ms, Actor("human", person), person, "console", body), "")])


def _columns() -> Select[Any]:
    return select(*(tp.sessions.c[name] for name in Session.__struct_fields__))
