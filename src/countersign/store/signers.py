"""Whose signature it is: an OpenSSH key or a passkey, in force, of that person, who may approve. One place for every kind of
matter, so that none can be approved by less than another."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.approvals import signed, webauthn
from countersign.approvals.quorum import Review
from countersign.approvals.signed import APPROVER
from countersign.approvals.webauthn import Assertion, Credential
from countersign.errors import VerificationError
from countersign.store import accounts, passkeys, people
from countersign.store import tables_people as tp

PASSKEY = "passkey:"


class Passkeyed(msgspec.Struct, frozen=True):
    """A passkey's assertion, and the address at which the console stands (never what a request says of itself)."""

    assertion: Assertion
    origin: str


class Answer(msgspec.Struct, frozen=True):
    """A person's approval: by name, with a reason, and either an armoured OpenSSH signature over
    ``change.message(digest)`` or a passkey's assertion."""

    person: str
    signature: str
    reason: str
    passkey: Passkeyed | None = None


class Signed(msgspec.Struct, frozen=True):
    """A signature that holds. record: what of it stands in the entry, enough to check it from there."""

    fingerprint: str
    record: dict[str, Any]


def check(conn: Connection, digest: str, review: Review, answer: Answer, now_ms: int) -> Signed:
    """The key with which ``review.by`` approves what has this digest. Raises VerificationError when the signature does
    not hold, or the key is not enrolled, somebody else's, revoked, or its person may not approve."""
    if answer.passkey is None:
        key = signed.by_key(digest, review, answer.signature, people.enrolled(conn))
        found = Signed(key.fingerprint, {"fingerprint": key.fingerprint, "signature": answer.signature})
    else:
        found = _by_passkey(conn, digest, review, answer.passkey, now_ms)
    if accounts.state(conn, review.by.id) == accounts.REVOKED:
        raise VerificationError("this account was revoked", where="approval", todo="ask an admin for a new invitation")
    return found


def recheck(conn: Connection, digest: str, review: Review, record: dict[str, Any]) -> None:
    """Whether an approval that was taken before still holds: the signature in its entry, and its key, person and entitlement
    as they are now. Raises VerificationError."""
    if "signature" in record:
        signed.by_key(digest, review, record["signature"], people.enrolled(conn))
        return
    said = msgspec.convert(record["webauthn"], Assertion)
    held = passkeys.find(conn, webauthn.unb64(said.credential, "credential id"))
    if held is None or held.person != review.by.id or held.revoked_ms:
        raise VerificationError("its passkey is not in force", where="approval", todo="have it proposed anew")
    if APPROVER not in accounts.roles(conn, review.by.id):
        raise VerificationError("its person is not an approver any more", where="approval", todo="have it proposed anew")
    origin = webauthn.origin_of(said)  # the address was checked when it was taken; here it is the signature that counts
    webauthn.verify(said, digest, Credential(held.credential, held.key, held.rp_id, 0), origin)


def in_force(conn: Connection) -> set[str]:
    """Fingerprints of every key and passkey that counts at this moment."""
    keys = {one.fingerprint for one in people.enrolled(conn) if not one.revoked_ms}
    rows = conn.execute(select(tp.passkeys.c.credential, tp.passkeys.c.person).where(tp.passkeys.c.revoked_ms == 0)).all()
    approvers = {who for who in {row.person for row in rows} if APPROVER in accounts.roles(conn, who)}
    return keys | {PASSKEY + row.credential for row in rows if row.person in approvers}


def _by_passkey(conn: Connection, digest: str, review: Review, given: Passkeyed, now_ms: int) -> Signed:
    said = given.assertion
    ident = webauthn.unb64(said.credential, "credential id")
    held = passkeys.find(conn, ident)
    why = ""
    if held is None:
        why = "is not enrolled"
    elif held.person != review.by.id:
        why = "is enrolled for somebody else"
    elif held.revoked_ms:
        why = "was revoked"
    elif APPROVER not in accounts.roles(conn, review.by.id):
        why = "is not an approver's"
    if held is None or why:
        raise VerificationError(f"this passkey {why}", where="approval", todo="sign in with your own, then approve")
    known = Credential(held.credential, held.key, held.rp_id, held.sign_count)
    passkeys.used(conn, ident, webauthn.verify(said, digest, known, given.origin), now_ms)
    fingerprint = PASSKEY + held.credential
    return Signed(fingerprint, {"fingerprint": fingerprint, "webauthn": msgspec.to_builtins(said)})
