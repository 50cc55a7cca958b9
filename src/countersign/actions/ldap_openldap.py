"""Lock an account of an OpenLDAP directory through the password policy overlay (ppolicy).

``pwdAccountLockedTime = 000001010000Z`` says "locked until somebody unlocks it" (slapo-ppolicy(5)). It is an operational
attribute that a client may write, without a special control, as far as access control lets it.

Whether it has an effect is another matter: the overlay heeds it only where a policy with ``pwdLockout`` TRUE is in force. So
the probe signs in as the account, with a password that is random and wrong, and asks for the password policy response
(draft-behera-ldap-password-policy): a locked account answers *accountLocked*, whatever the password. That is one attempt,
and it may count as one failed sign-in of the account; it is made once for each probe, and never for a check of an account
that is not locked.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

import ldap3

from countersign.actions.der import elements
from countersign.actions.hand import BaseHand
from countersign.actions.ldap_directory import Directory, Entry, Session
from countersign.errors import TargetFault
from countersign.model.responses import Effect, Order, Seen

CONTROL = "1.3.6.1.4.1.42.2.27.8.5.1"
LOCK, FOREVER = "pwdAccountLockedTime", b"000001010000Z"
_POLICY = "pwdPolicySubentry"
_LOCKED = 1
_WRONG_PASSWORD = {48, 49}


class Policy(StrEnum):
    """What can be learnt of the password policy that holds for an account."""

    NONE = "none"
    NO_LOCKOUT = "no lockout"
    LOCKS = "locks"
    QUIET = "locks, and does not say so"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Overlay:
    """The password policy overlay of the database that an account is in, as its configuration says."""

    default: str
    says_so: bool


class OpenLdapHand(BaseHand):
    """One account, locked and unlocked."""

    action = "disable_account"

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def _check(self, order: Order) -> Seen:
        with self._directory.session() as session:
            root = session.read("", ["supportedControl"])
            if root is None or CONTROL.encode() not in root.values.get("supportedcontrol", ()):
                what, todo = "has no password policy overlay", "load ppolicy; see docs/how-to/disable-accounts.md"
                raise TargetFault(TargetFault.REFUSED, what, where=self._directory.where, todo=todo)
            entry = _account(session, order)
        if entry.first(LOCK) is None:
            return Seen(Effect.ABSENT, f"{entry.dn} is not locked")
        return self._probe(order)

    def _do(self, order: Order) -> None:
        with self._directory.session() as session:
            session.change(_account(session, order), LOCK, (ldap3.MODIFY_REPLACE, [FOREVER]))

    def _undo(self, order: Order) -> None:
        with self._directory.session() as session:
            session.change(_account(session, order), LOCK, (ldap3.MODIFY_REPLACE, []))

    def _probe(self, order: Order) -> Seen:
        with self._directory.session() as session:
            entry = _account(session, order)
            lock, policy = entry.first(LOCK), policy_for(session, entry)
        return judged(entry.dn, lock, self._refused_as_locked(entry.dn), policy)

    def _refused_as_locked(self, dn: str) -> bool:
        """Sign in as the account, once, with a wrong password: does the directory say that it is locked?"""
        with self._directory.connection(dn, secrets.token_urlsafe(32)) as link:
            link.bind(controls=[(CONTROL, False, None)])
            if link.result["result"] not in _WRONG_PASSWORD:
                raise self._directory.fault(link.result)
            answer = (link.result.get("controls") or {}).get(CONTROL, {}).get("value") or b""
        return policy_error(answer) == _LOCKED


def policy_error(answer: bytes) -> int | None:
    """The error in a password policy response: ``SEQUENCE { warning [0] OPTIONAL, error [1] ENUMERATED OPTIONAL }``."""
    try:
        inside = dict(elements(next(elements(answer), (0, b""))[1]))
    except ValueError:
        return None
    return int.from_bytes(inside[0x81], "big") if 0x81 in inside else None


def judged(dn: str, lock: bytes | None, said: bool, policy: Policy) -> Seen:
    """What the lock in the entry, the answer to a wrong password, and the policy add up to."""
    if said and lock not in {None, FOREVER}:
        return Seen(Effect.UNKNOWN, f"{dn} is refused as locked after wrong passwords, and may be let in again by itself")
    if said:
        return Seen(Effect.HOLDS, f"{dn} is refused: the directory says that the account is locked")
    if lock is None:
        return Seen(Effect.ABSENT, f"{dn} is not locked")
    return _lock_unheeded(dn, policy)


def _lock_unheeded(dn: str, policy: Policy) -> Seen:
    held = f"{dn} holds the lock"
    if policy is Policy.NONE:
        todo = "set olcPPolicyDefault to a pwdPolicy entry with pwdLockout TRUE"
        return Seen(Effect.ABSENT, f"{held}, and the account is let in all the same: no password policy is in force; {todo}")
    if policy is Policy.NO_LOCKOUT:
        todo = "set pwdLockout TRUE in the policy"
        return Seen(Effect.ABSENT, f"{held}, and the account is let in all the same: its policy does not lock; {todo}")
    if policy is Policy.LOCKS:
        return Seen(Effect.ABSENT, f"{held}, and the directory does not refuse the account as locked")
    if policy is Policy.QUIET:
        return Seen(Effect.UNKNOWN, f"{held}; the directory does not say whether it heeds it; set olcPPolicyUseLockout TRUE")
    todo = "set olcPPolicyDefault and olcPPolicyUseLockout, and let the service account read the overlay's configuration"
    return Seen(
        Effect.UNKNOWN, f"{held}, and the directory does not refuse the account as locked, for no reason to be seen; {todo}"
    )


def policy_for(session: Session, entry: Entry) -> Policy:
    """The policy in force for an entry: its own, else the overlay's default."""
    overlay = overlay_for(session, entry.dn)
    own = entry.first(_POLICY)
    dn = own.decode("utf-8", "replace") if own else overlay.default if overlay else ""
    if not dn:
        return Policy.NONE if overlay else Policy.HIDDEN
    found = session.read(dn, ["pwdAttribute", "pwdLockout"])
    if found is None or found.first("pwdAttribute") is None:
        return Policy.HIDDEN
    if found.first("pwdLockout") != b"TRUE":
        return Policy.NO_LOCKOUT
    return Policy.HIDDEN if overlay is None else Policy.LOCKS if overlay.says_so else Policy.QUIET


def overlay_for(session: Session, dn: str) -> Overlay | None:
    """The overlay's configuration for the database that holds ``dn``; None when it cannot be read."""
    root = session.read("", ["configContext"])
    context = root.first("configContext") if root else None
    if context is None:
        return None
    where = context.decode("utf-8", "replace")
    databases = session.search(where, "(objectClass=olcDatabaseConfig)", ["olcSuffix"], ldap3.LEVEL, missing=True, most=0)
    holders = [
        (len(suffix), one.dn) for one in databases for suffix in one.values.get("olcsuffix", ()) if _under(dn, suffix)
    ]
    if not holders:
        return None
    attributes = ["olcPPolicyDefault", "olcPPolicyUseLockout"]
    found = session.search(max(holders)[1], "(objectClass=olcPPolicyConfig)", attributes, ldap3.LEVEL, missing=True)
    if len(found) != 1:
        return None
    default = found[0].first("olcPPolicyDefault") or b""
    return Overlay(default.decode("utf-8", "replace"), found[0].first("olcPPolicyUseLockout") == b"TRUE")


def _under(dn: str, suffix: bytes) -> bool:
    end = suffix.decode("utf-8", "replace").casefold().replace(", ", ",")
    whole = dn.casefold().replace(", ", ",")
    return whole == end or whole.endswith("," + end)


def _account(session: Session, order: Order) -> Entry:
    (record,) = order.records
    return session.account(record.name, [LOCK, _POLICY])
