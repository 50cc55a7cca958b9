"""Disable an account of an Active Directory: ACCOUNTDISABLE (0x2) in userAccountControl, every other bit kept.

The probe asks from outside, without a password, so that no failed sign-in is counted. What answers truly differs:

- A Windows domain controller's KDC looks at the account before it wants a password: KDC_ERR_CLIENT_REVOKED for a disabled
  account, KDC_ERR_PREAUTH_REQUIRED for one that may sign in (MS-KILE, RFC 4120). An LDAP sign-in with a wrong password is no
  use there: it answers "wrong password" (data 52e) for both, and "disabled" (533) only to whoever knows the password.
- Samba's KDC and its LDAP server both keep silent until the password is right (tried on 4.17). It does answer the question
  that a Windows client asks before it signs somebody in, the LDAP ping with a user's name (MS-ADTS 6.3.3): a disabled
  account is answered as unknown. That question is anonymous.

Which of the two is asked follows from what the directory says it is (vendorName in its root entry).
"""

from __future__ import annotations

from enum import StrEnum

import ldap3

from countersign.actions import kerberos
from countersign.actions.hand import BaseHand
from countersign.actions.ldap_directory import Directory, Entry, Session, escaped
from countersign.actions.ldap_settings import realm, split_host
from countersign.errors import TargetFault
from countersign.model.responses import Effect, Order, Seen

CONTROL, DISABLED = "userAccountControl", 0x2
_WRITABLE = "allowedAttributesEffective"
_KINDS_OF_ACCOUNT = rb"\90\01\00\00".decode()
"""AAC of the ping: people, workstations and servers (0x10, 0x80, 0x100)."""
_KNOWN, _UNKNOWN = {19, 23}, {21, 25}
"""Operation codes of the ping's answer: LOGON_SAM_LOGON_RESPONSE and LOGON_SAM_USER_UNKNOWN, each with _EX."""


class Outside(StrEnum):
    """What the domain says of an account to somebody who does not know its password."""

    OPEN = "may sign in"
    REFUSED = "may not sign in"
    SILENT = "nothing"


class ActiveDirectoryHand(BaseHand):
    """One account, disabled and enabled."""

    action = "disable_account"

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        settings = directory.settings
        self._realm = realm(settings.base)
        host, self._kdc_port = split_host(settings.kdc, kerberos.PORT)
        self._kdc_host = host or settings.address[0]

    def _check(self, order: Order) -> Seen:
        with self._directory.session() as session:
            entry = _account(session, order)
        writable = {one.decode("utf-8", "replace").lower() for one in entry.values.get(_WRITABLE.lower(), ())}
        if writable and CONTROL.lower() not in writable:
            what, todo = f"the service account may not change {CONTROL}", "see docs/how-to/disable-accounts.md"
            raise TargetFault(TargetFault.DENIED, what, where=self._directory.where, todo=todo)
        return self._probe(order)

    def _do(self, order: Order) -> None:
        self._set(order, disabled=True)

    def _undo(self, order: Order) -> None:
        self._set(order, disabled=False)

    def _set(self, order: Order, *, disabled: bool) -> None:
        """Takes the old value out and puts the new one in, in one step that fails when somebody else was faster."""
        with self._directory.session() as session:
            entry = _account(session, order)
            old = self._bits(entry)
            new = old | DISABLED if disabled else old & ~DISABLED
            if new != old:
                gone, put = (ldap3.MODIFY_DELETE, [b"%d" % old]), (ldap3.MODIFY_ADD, [b"%d" % new])
                session.change(entry, CONTROL, gone, put)

    def _probe(self, order: Order) -> Seen:
        with self._directory.session() as session:
            entry = _account(session, order)
            samba = _is_samba(session)
        flagged = bool(self._bits(entry) & DISABLED)
        name = (entry.first(self._directory.settings.attribute) or b"").decode("utf-8", "replace")
        return judged(entry.dn, flagged, self._ping(name) if samba else self._kdc(name))

    def _bits(self, entry: Entry) -> int:
        try:
            return int(entry.first(CONTROL) or b"")
        except ValueError as error:
            what = f"the service account cannot read {CONTROL} of {entry.dn}"
            todo = "see docs/how-to/disable-accounts.md"
            raise TargetFault(TargetFault.DENIED, what, where=self._directory.where, todo=todo) from error

    def _kdc(self, name: str) -> Outside:
        timeout_s = self._directory.timeout_s
        answer = kerberos.ask(self._kdc_host, self._kdc_port, self._realm, name, timeout_s)
        return {kerberos.Answer.REVOKED: Outside.REFUSED, kerberos.Answer.OPEN: Outside.OPEN}.get(answer, Outside.SILENT)

    def _ping(self, name: str) -> Outside:
        """The question that a Windows client asks of a domain controller, anonymously: may this account sign in?"""
        condition = (
            f"(&(DnsDomain={escaped(self._realm.lower())})(User={escaped(name)})"
            rf"(AAC={_KINDS_OF_ACCOUNT})(NtVer=\16\00\00\00))"
        )
        with self._directory.anonymous() as session:
            answer = session.read("", ["netlogon"], condition)
        code = int.from_bytes(((answer.first("netlogon") if answer else None) or b"")[:2], "little")
        return Outside.OPEN if code in _KNOWN else Outside.REFUSED if code in _UNKNOWN else Outside.SILENT


def judged(dn: str, flagged: bool, outside: Outside) -> Seen:
    """What the bit in the entry and the answer from outside add up to."""
    if outside is Outside.SILENT:
        return Seen(Effect.UNKNOWN, f"{dn} is {_state(flagged)}; the domain does not say whether it may sign in")
    if outside is Outside.OPEN:
        also = "; it is marked as disabled, so look at replication" if flagged else ""
        return Seen(Effect.ABSENT, f"{dn} may sign in, the domain says{also}")
    if flagged:
        return Seen(Effect.HOLDS, f"{dn} is refused: the domain says that the account may not sign in")
    return Seen(
        Effect.UNKNOWN, f"{dn} is enabled, and refused for another reason: locked out, expired, or outside its hours"
    )


def _state(flagged: bool) -> str:
    return "marked as disabled" if flagged else "enabled"


def _is_samba(session: Session) -> bool:
    root = session.read("", ["vendorName"])
    return root is not None and (root.first("vendorName") or b"").startswith(b"Samba")


def _account(session: Session, order: Order) -> Entry:
    (record,) = order.records
    return session.account(record.name, [CONTROL, _WRITABLE])
