"""Whether a signed approval of a change counts: every refusal has its reason, and nothing answers with a boolean."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence

import msgspec

from countersign.approvals import change as changes
from countersign.approvals import sshsig
from countersign.approvals.change import Change
from countersign.approvals.proposal import Matter
from countersign.approvals.quorum import Review, Standing, Tally, refusal, tally
from countersign.errors import ConflictError, UsageError, VerificationError
from countersign.model.entries import Actor

APPROVER = "approver"
"""The entitlement to approve; not a rank."""
REASON_CHARS_MAX = 2_000


class Enrolled(msgspec.Struct, frozen=True):
    """A person's key. person: pseudonym. key: ``sshsig.PublicKey.line``. Times in milliseconds, revoked_ms 0 before."""

    person: str
    key: str
    fingerprint: str
    entitlement: str
    enrolled_ms: int
    revoked_ms: int = 0


def admissible(matter: Matter, requester: Actor, review: Review, where: str) -> None:
    """Raises ConflictError or UsageError when the rules say no, whoever signed and how."""
    said(review.reason)
    if why := refusal(matter, requester, review, review.at_ms):
        raise ConflictError(f"approval refused: {why}", where=where)


def by_key(digest: str, review: Review, armoured: str, people: Sequence[Enrolled]) -> Enrolled:
    """The enrolled key that made this OpenSSH signature over the digest. Raises VerificationError."""
    return _entitled(sshsig.verify(armoured, changes.message(digest)), review, people)


def unchanged(data: bytes, digest: str) -> Change:
    """The change in ``data``. Raises VerificationError unless its digest is the one that was recorded."""
    if hashlib.sha256(data).hexdigest() != digest:
        raise VerificationError("the proposal is not what was recorded", todo="have it proposed anew")
    return changes.read(data)


def unused(change: Change, nonces: Container[str]) -> Change:
    """The change. Raises ConflictError when it is a draft, or its nonce stood in another one."""
    if change.is_draft:
        raise ConflictError("a draft cannot be proposed", where=change.change, todo="give it an expiry and a nonce")
    if change.nonce in nonces:
        raise ConflictError("nonce was used before", where=change.change, todo="have it proposed anew")
    return change


def count(change: Change, earlier: Sequence[Review], review: Review) -> Tally:
    """Where the change stands with one more answer. Raises ConflictError when that answer does not count or came late."""
    found = counted(change, change.requester, earlier, review, change.change)
    if found.standing in (Standing.DENIED, Standing.EXPIRED):
        raise ConflictError(f"approval refused: the change is {found.standing}", where=change.change)
    return found


def counted(matter: Matter, requester: Actor, earlier: Sequence[Review], review: Review, where: str) -> Tally:
    """Where a matter stands with one more answer. Raises ConflictError when that answer does not count."""
    found = tally(matter, requester, [*earlier, review], review.at_ms)
    if (who_why := found.refused[-1:]) and who_why[0][0] == review.by.id:
        raise ConflictError(f"approval refused: {who_why[0][1]}", where=where)
    return found


def said(reason: str) -> str:
    """A reason, trimmed. Raises UsageError when there is none, or when no database could hold it."""
    text = reason.strip()
    if not text:
        raise UsageError("a reason is required", where="reason", todo="say in a few words why")
    if len(text) > REASON_CHARS_MAX:
        raise UsageError(f"reason is longer than {REASON_CHARS_MAX} characters", where="reason", todo="shorten it")
    if not text.isprintable() and any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in text):
        raise UsageError("text is not valid UTF-8", where="reason", todo="type it again")
    return text


def _entitled(key: sshsig.PublicKey, review: Review, people: Sequence[Enrolled]) -> Enrolled:
    held = next((one for one in people if one.key == key.line), None)
    if held is None:
        todo = "`countersign people list` shows the keys that are"
        raise VerificationError(f"key {key.fingerprint} is not enrolled", where="approval", todo=todo)
    why = ""
    if held.person != review.by.id:
        why = "is enrolled for somebody else"
    elif held.revoked_ms:
        why = "was revoked"
    elif held.entitlement != APPROVER:
        why = "is not an approver's"
    if why:
        raise VerificationError(f"key {key.fingerprint} {why}", where="approval")
    return held
