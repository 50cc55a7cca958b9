"""Who may do what: roles of people, what each opens, and the scopes of tokens. The one table that every door asks.

Pure. A door names the right it needs; a person holds rights through roles, and the entitlement to approve beside them, which
is no rank: an admin who is no approver approves nothing. A token carries scopes, and no scope reaches a right that a person
must use in person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum


class Role(StrEnum):
    """What a person is here. None includes another by rank; ``OPENS`` says what each may."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    LEAD = "lead"
    ADMIN = "admin"
    AUDITOR = "auditor"


APPROVER = "approver"
"""The entitlement to sign what only people may decide."""
GRANTABLE = (*(role.value for role in Role), APPROVER)


class Right(StrEnum):
    """What a door needs. ``public``: shows nothing of the site. ``self``: to be signed in, for what is one's own."""

    PUBLIC = "public"
    SELF = "self"
    READ = "read"  # see cases, findings, closes, the record
    WORK = "work"  # dispose, assign, review, overturn, and use a kill switch: it only closes a way
    STEER = "steer"  # lift a kill switch, note an alarm, send a message in again
    ADMINISTER = "administer"  # people, tokens, inventory, keys
    AUDIT = "audit"  # evidence packs, exports, proofs
    PROPOSE = "propose"  # put a change or an action before people
    APPROVE = "approve"  # answer one
    INTAKE = "intake"  # hand alerts in; a token's right, never a person's
    PERSON = "read"


OPENS: dict[str, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.AUDITOR: frozenset({Right.READ, Right.AUDIT}),
    Role.ANALYST: frozenset({Right.READ, Right.WORK, Right.PROPOSE}),
    Role.LEAD: frozenset({Right.READ, Right.WORK, Right.PROPOSE, Right.STEER, Right.AUDIT}),
    Role.ADMIN: frozenset({Right.READ, Right.PROPOSE, Right.ADMINISTER, Right.AUDIT}),
    APPROVER: frozenset({Right.READ, Right.APPROVE}),
}
POWERS = frozenset({Role.LEAD.value, Role.ADMIN.value, APPROVER})
"""What approvers must sign for before anybody is given it, once somebody is enrolled."""
LOCAL = frozenset(Right) - {Right.APPROVE, Right.INTAKE}
"""What the printed link of a single-person site opens: what the shell that printed it may do, which is never to approve."""
IN_PERSON = frozenset({Right.SELF, Right.WORK, Right.STEER, Right.ADMINISTER, Right.APPROVE})
"""Never a token's, whoever holds it: agents and programs read, hand in and propose."""


def rights(roles: Iterable[str]) -> frozenset[Right]:
    """What these roles open together; being signed in opens what is one's own. An unknown role opens nothing."""
    return frozenset({Right.PUBLIC, Right.SELF}).union(*(OPENS.get(role, frozenset()) for role in roles))


class Scope(StrEnum):
    """What an API token may read. Intake scopes are ``intake:SOURCE``."""

    ALL = "api:read"
    CASES = "cases:read"
    LEDGER = "ledger:read"
    AUTONOMY = "autonomy:read"
    SOURCES = "sources:read"


INTAKE = "intake:"


def token_rights(scopes: Collection[str]) -> frozenset[Right]:
    """What a token with these scopes may at most. Nothing in ``IN_PERSON`` is among it."""
    reads = {Right.READ} if any(scope in set(Scope) for scope in scopes) else set()
    hands_in = {Right.INTAKE} if any(scope.startswith(INTAKE) for scope in scopes) else set()
    return frozenset(reads | hands_in) - IN_PERSON


def reads(scopes: Collection[str], wanted: Scope) -> bool:
    """Whether a token with these scopes may read what ``wanted`` names."""
    return Scope.ALL in scopes or wanted in scopes
