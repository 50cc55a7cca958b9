"""Roles that open more, and new passkeys of whoever holds one: changes that approvers sign. And taking everything away.

Before anybody is enrolled a role is given at once, as the first person is trusted. A grant pins the passkeys that its person
holds when it is proposed: what approvers sign for is a person with these devices, not a name that somebody else may use.
The entitlement that an SSH key carries does not pass to passkeys; each is granted by itself.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection

from countersign.approvals.change import Change
from countersign.authority.roles import APPROVER, GRANTABLE, POWERS
from countersign.errors import ConflictError, NotFoundError, UsageError
from countersign.model.entries import Actor
from countersign.store import accounts, casework, enrolments, passkeys, people, sessions, tokens
from countersign.store.effects import Approved, Effect
from countersign.store.enrolments import Kind, Link

ROLE_GRANT, PASSKEY_INVITE = "role.grant", "passkey.invite"
_PINNED = "passkeys_sha256"


def known_role(role: str) -> str:
    """The role. Raises UsageError when there is none of that name."""
    if role not in GRANTABLE:
        raise UsageError(f"unknown role {role!r}", where="role", todo=f"use one of {', '.join(GRANTABLE)}")
    return role


def needs_signature(conn: Connection, role: str) -> bool:
    """Whether approvers must sign before anybody holds this role."""
    return role in POWERS and not accounts.nobody_yet(conn)


def grant(conn: Connection, name: str, role: str, who: str, now_ms: int) -> Change | None:
    """Give a role at once, or return the change that would give it. The person asks, so another must sign."""
    of, by = casework.person(conn, name), casework.person(conn, who)
    held = accounts.roles(conn, of.id)
    if known_role(role) in held:
        raise ConflictError(f"{name} is {role} already", where="people")
    if not needs_signature(conn, role):
        if role == APPROVER:
            todo = f"`countersign people invite {name} --role approver`"
            raise ConflictError("the first approver is whoever registers a passkey first", where="people", todo=todo)
        accounts.grant(conn, of.id, [role], by, now_ms)
        return None
    if not passkeys.active(conn, of.id):
        todo = f"`countersign people invite {name} --role viewer`, and let them register one"
        raise ConflictError(f"{name} has no passkey that approvers could sign for", where="people", todo=todo)
    evidence: dict[str, str | int] = {"passkeys": len(passkeys.active(conn, of.id)), _PINNED: _pinned(conn, of.id)}
    return Change(change=ROLE_GRANT, subject=of.id, was=_shown(held), to=role, requester=of, evidence=evidence)


def _held(conn: Connection, change: Change) -> str:
    held = accounts.roles(conn, change.subject)
    if known_role(change.to) in held:
        raise ConflictError(f"{change.to} is held already", where=change.change)
    if _pinned(conn, change.subject) != change.evidence.get(_PINNED):
        raise ConflictError("their passkeys are others now", where=change.change, todo="have it proposed anew")
    return _shown(held)


def _grant(conn: Connection, approved: Approved, now_ms: int) -> None:
    change = approved.change
    enrolments.end(conn, change.subject)  # a link that lies about would now enrol a device with this power
    trigger = str(approved.entry)
    accounts.grant(conn, change.subject, [change.to], approved.by, now_ms, change=approved.id, trigger=trigger)


GRANT = Effect(_held, _grant)


def invite(conn: Connection, name: str, role: str, who: str, now_ms: int) -> tuple[str, Change | None]:
    """(token of a one-time link, change that must be approved before it works). Grants the role where that may be done at
    once. Raises ConflictError for a role that must be signed for: it comes after the passkey."""
    of, by = casework.person(conn, name), casework.person(conn, who)
    if known_role(role) == APPROVER and accounts.nobody_yet(conn):
        return enrolments.issue(conn, of.id, Kind.FIRST, by, now_ms), None
    held = set(accounts.roles(conn, of.id))
    if POWERS & held and not accounts.nobody_yet(conn):
        token = enrolments.new_token()
        to, evidence = enrolments.digest(token), {"passkeys": len(passkeys.active(conn, of.id))}
        return token, Change(change=PASSKEY_INVITE, subject=of.id, was="", to=to, requester=of, evidence={**evidence})
    if role not in held and needs_signature(conn, role):
        todo = f"invite them as viewer or analyst; then `countersign people role {name} --grant {role}`"
        raise ConflictError(
            f"approvers sign for a {role}, and for the passkey that is there then", where="people", todo=todo
        )
    accounts.grant(conn, of.id, [role], by, now_ms)
    return enrolments.issue(conn, of.id, Kind.INVITE, by, now_ms), None


def _invited(_conn: Connection, _change: Change) -> str:
    return ""


def _invite(conn: Connection, approved: Approved, now_ms: int) -> None:
    link = Link(approved.change.to, approved.change.subject, Kind.SIGNED, now_ms + enrolments.INVITE_MS)
    enrolments.keep(conn, link, approved.by, now_ms)


INVITE = Effect(_invited, _invite)


def take(conn: Connection, name: str, role: str, who: str, now_ms: int, reason: str, *, last: bool = False) -> None:
    """Take one role away. Raises NotFoundError, and ConflictError for the last approver unless ``last``."""
    of, by = casework.person(conn, name), casework.person(conn, who)
    if role == APPROVER and not last:
        _leaves_one(conn, of.id)
    if not accounts.take(conn, of.id, [known_role(role)], by, now_ms, reason=reason):
        raise NotFoundError(f"{name} is no {role} here", where="people", todo="see `countersign people list`")


def revoke(conn: Connection, name: str, reason: str, who: str, now_ms: int, *, last: bool = False) -> int:
    """Take everything away: SSH keys, roles, passkeys, sessions, tokens, links. Returns how many keys and passkeys.

    Needs no signature, since it only ever closes a way. Raises NotFoundError, and ConflictError as ``take`` does."""
    of, by = casework.person(conn, name), casework.person(conn, who)
    keys = [one for one in people.enrolled(conn) if one.person == of.id and not one.revoked_ms]
    is_here = accounts.state(conn, of.id) == accounts.ACTIVE
    if not last and (keys or APPROVER in accounts.roles(conn, of.id)):
        _leaves_one(conn, of.id)
    held = len(keys) + len(passkeys.active(conn, of.id))
    if keys or not is_here:
        people.revoke(conn, name, reason, who, now_ms, last=True)
    if is_here:
        _close(conn, of, by, now_ms, reason)
    return held


def _close(conn: Connection, of: Actor, by: Actor, now_ms: int, reason: str) -> None:
    for key in passkeys.active(conn, of.id):
        passkeys.revoke(conn, of.id, key.credential, by, now_ms, reason)
    for token in tokens.every(conn):
        if token.holder == of.id and not token.revoked_ms:
            tokens.revoke(conn, token.hash, by, now_ms, reason)
    enrolments.end(conn, of.id)
    sessions.end(conn, of.id, None, by, now_ms)
    accounts.close(conn, of.id, by, now_ms, reason)


def _leaves_one(conn: Connection, person: str) -> None:
    others = {one.person for one in people.enrolled(conn) if not one.revoked_ms}
    others |= {one.person for one in accounts.accounts(conn) if APPROVER in one.roles}
    if not others - {person}:
        todo = "enrol another first, or say --last"
        raise ConflictError("after the last approver nothing could be approved any more", where="people", todo=todo)


def _pinned(conn: Connection, person: str) -> str:
    held = sorted(one.credential for one in passkeys.active(conn, person))
    return hashlib.sha256(" ".join(held).encode()).hexdigest()


def _shown(roles: tuple[str, ...]) -> str:
    return ", ".join(roles)
