"""How people come in with passkeys: both halves of each ceremony, one transaction each.

A challenge serves once, for two minutes, and only for what it was made for. What is refused leaves no row and no entry.
"""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import Connection, delete, select

from countersign.authority import passkey
from countersign.authority.passkey import Answer, Party
from countersign.authority.registered import Made
from countersign.errors import RefusedError
from countersign.model.entries import Actor
from countersign.store import accounts, enrolments, passkeys, sessions
from countersign.store import tables_people as tp
from countersign.store.enrolments import Kind
from countersign.store.sql import insert_new

CEREMONY_MS = 5 * 60_000
FRESH_MS = 10 * 60_000
"""How long after signing in with a passkey a person may add another one."""
REGISTER, SIGN_IN = "register", "sign-in"


class Came(msgspec.Struct, frozen=True):
    """Somebody who came in. token: of their new session."""

    person: str
    token: str


def begin(conn: Connection, kind: str, secret: bytes, person: str, data: bytes, now_ms: int) -> None:
    """Keep what the second half of a ceremony needs; what is over is swept away."""
    conn.execute(delete(tp.ceremonies).where(tp.ceremonies.c.expires_ms <= now_ms))
    row = {"hash": hashlib.sha256(secret).hexdigest(), "kind": kind, "person": person, "data": data}
    insert_new(conn, tp.ceremonies, [row | {"expires_ms": now_ms + CEREMONY_MS}])


def take(conn: Connection, kind: str, secret: bytes, now_ms: int) -> tuple[str, bytes]:
    """(person, data) of a ceremony, which ends with this. Raises RefusedError when there is none: unknown, used or old."""
    c = tp.ceremonies.c
    mine = (c.hash == hashlib.sha256(secret).hexdigest()) & (c.kind == kind)
    row = conn.execute(select(c.person, c.data, c.expires_ms).where(mine)).first()
    gone = conn.execute(delete(tp.ceremonies).where(mine)).rowcount
    if row is None or gone != 1 or row.expires_ms <= now_ms:
        raise RefusedError("this attempt has been used, or took too long", where="sign-in", todo="try again")
    return row.person, bytes(row.data)


def begin_registration(conn: Connection, party: Party, person: str, now_ms: int) -> str:
    """Options for the browser to make a passkey of this person."""
    known = [one.credential_id for one in passkeys.active(conn, person)]
    challenge, options = passkey.registration(party, person, accounts.name_of(conn, person) or person, known)
    begin(conn, REGISTER, challenge, person, b"", now_ms)
    return options


def enrol_by_link(conn: Connection, party: Party, token: str, answer: Answer, name: str, now_ms: int, agent: str) -> Came:
    """Enrol a person's passkey with a link, and sign them in with it. The first person is given the first roles."""
    link = enrolments.find(conn, token, now_ms)
    made = _made(conn, party, answer, link.person, now_ms)
    actor = Actor("human", link.person)
    enrolments.use(conn, link, now_ms)
    if link.kind is Kind.FIRST:
        accounts.grant(conn, link.person, enrolments.FIRST_ROLES, actor, now_ms, trigger="first")
    passkeys.enrol(conn, link.person, made, name, actor, now_ms, link.kind.value)
    return _start(conn, link.person, passkeys.b64(made.credential_id), now_ms, agent)


def enrol_another(conn: Connection, party: Party, session: str, answer: Answer, name: str, now_ms: int) -> None:
    """Enrol a further passkey of somebody who has just signed in with one. Raises RefusedError when that is not so.
    session: hash of theirs."""
    who = sessions.get(conn, session)
    fresh(who.how, who.auth_ms, now_ms)
    made = _made(conn, party, answer, who.person, now_ms)
    passkeys.enrol(conn, who.person, made, name, Actor("human", who.person), now_ms, "session")


def fresh(how: str, auth_ms: int, now_ms: int) -> None:
    """Raises RefusedError unless a person signed in with a passkey a moment ago."""
    if how != sessions.PASSKEY or now_ms - auth_ms > FRESH_MS:
        todo = "sign in with your passkey again, then add the other within ten minutes"
        raise RefusedError("adding a passkey needs one that was just used", where="passkey", todo=todo)


def begin_sign_in(conn: Connection, party: Party, now_ms: int) -> str:
    """Options for the browser to sign in with a passkey."""
    challenge, options = passkey.authentication(party)
    begin(conn, SIGN_IN, challenge, "", b"", now_ms)
    return options


def owner(conn: Connection, answer: Answer) -> str:
    """Whose passkey an answer names, before anything is proved; "" when nobody's."""
    held = passkeys.find(conn, answer.credential_id)
    return held.person if held is not None else ""


def sign_in(conn: Connection, party: Party, answer: Answer, now_ms: int, agent: str) -> Came:
    """Sign a person in. Raises RefusedError for a passkey that is unknown or revoked, or proves nothing."""
    take(conn, SIGN_IN, answer.challenge, now_ms)
    held = passkeys.find(conn, answer.credential_id)
    if held is None or held.revoked_ms or accounts.state(conn, held.person) != accounts.ACTIVE:
        raise RefusedError("this passkey does not open this site", where="sign-in", todo="use another, or ask an admin")
    count = passkey.asserted(party, answer, answer.challenge, held.public_key, held.sign_count)
    passkeys.used(conn, held.credential_id, count, now_ms)
    return _start(conn, held.person, held.credential, now_ms, agent)


def _made(conn: Connection, party: Party, answer: Answer, person: str, now_ms: int) -> Made:
    whose, _ = take(conn, REGISTER, answer.challenge, now_ms)
    if whose != person:
        raise RefusedError("this attempt was another person's", where="passkey", todo="start again")
    return passkey.registered(party, answer, answer.challenge)


def _start(conn: Connection, person: str, credential: str, now_ms: int, agent: str) -> Came:
    token = sessions.start(conn, person, sessions.PASSKEY, now_ms, agent=agent)
    sessions.signed_in(conn, person, sessions.PASSKEY, now_ms, credential)
    return Came(person, token)
