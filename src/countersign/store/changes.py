"""Changes that wait for people: proposed, approved with a signature, denied. All inside the caller's transaction.

The last approval and what it does are one transaction: an approval without its effect, or an effect without its approval,
cannot be on disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, select, update

from countersign.approvals import signed
from countersign.approvals.change import Change, read
from countersign.approvals.proposal import EXPIRY_MS, NONCE_CHARS, canonical, digest, elsewhere
from countersign.approvals.quorum import Review, Standing
from countersign.errors import ConflictError, NotFoundError, UsageError, VerificationError
from countersign.model.entries import Actor, Entry, Kind
from countersign.policy.engine import PolicyEngine
from countersign.store import casework, ledger, outbox, permits, signers, words
from countersign.store import tables as t
from countersign.store.effects import Approved, Effect, unmoved
from countersign.store.signers import Answer
from countersign.store.sql import insert_rows, upsert

Effects = Mapping[str, Effect]
__all__ = ["Answer", "Effects", "Pending", "approve", "deny", "pending", "propose", "waiting"]
EXPIRY_MS_MAX = 7 * 86_400_000


class Pending(msgspec.Struct, frozen=True):
    """A change as it stands in the database. proposal: its canonical bytes as text, from which it is read and rendered."""

    id: int
    proposal: str
    digest: str
    state: str
    entry: int

    @property
    def change(self) -> Change:
        """What is proposed. Raises VerificationError when the row is not what the digest says."""
        return signed.unchanged(self.proposal.encode(), self.digest)


def propose(
    conn: Connection,
    wanted: Change,
    now_ms: int,
    effects: Effects,
    *,
    trigger: str = "command",
    policy: PolicyEngine | None = None,
) -> int:
    """Put a change before people; returns its number. A draft is given an expiry, one hour on, and a nonce.

    Raises UsageError when no effect is registered for it, ConflictError when it starts from what is not so, when its nonce
    was used before, when it would wait longer than a week, or when the same already waits.
    """
    size, _ = ledger.lock_head(conn)
    if wanted.is_draft:
        wanted = replace(wanted, expires_ms=now_ms + EXPIRY_MS, nonce=secrets.token_hex(NONCE_CHARS // 2))
    change = read(canonical(replace(wanted, site=ledger.origin(conn))))
    if not now_ms < change.expires_ms <= now_ms + EXPIRY_MS_MAX:
        raise ConflictError("must expire within a week", where=change.change, todo="leave the expiry to the default")
    nonces = set(conn.execute(select(t.changes.c.nonce).where(t.changes.c.nonce == change.nonce)).scalars())
    signed.unused(change, nonces)
    unmoved(conn, _effect(effects, change), change)
    permits.propose(policy, permits.matter(change), now_ms)
    _not_twice(conn, change, now_ms)
    body = {"proposal": canonical(change).decode(), "digest": digest(change)}
    apply_proposed(conn, body, size)
    outbox.tell(conn, outbox.WAITS, size, change.change, "", now_ms)
    ledger.append(conn, [(Entry(Kind.CHANGE_PROPOSED, now_ms, change.requester, str(size), trigger, body), "")])
    return size


def pending(conn: Connection, now_ms: int) -> tuple[Pending, ...]:
    """Changes that people can still answer, the oldest first."""
    waits = (t.changes.c.state == Standing.WAITING.value) & (t.changes.c.expires_ms > now_ms)
    return tuple(Pending(*row) for row in conn.execute(_rows().where(waits).order_by(t.changes.c.id)))


def waiting(conn: Connection, number: int, now_ms: int) -> Pending:
    """A change that people can still answer. Raises NotFoundError, ConflictError, VerificationError."""
    row = conn.execute(_rows().where(t.changes.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError("no such change", where=str(number), todo="`countersign approvals` lists those that wait")
    found = Pending(*row)
    state = Standing.EXPIRED.value if now_ms >= found.change.expires_ms else found.state
    if found.state != Standing.WAITING.value:
        raise ConflictError(
            f"change is {found.state} already", where=str(number), todo="have it proposed anew if it is wanted"
        )
    if why := elsewhere(found.change.site, ledger.origin(conn)):
        raise VerificationError(why, where=str(number), todo="have it proposed anew")
    if state == Standing.EXPIRED.value:
        raise ConflictError("change has expired", where=str(number), todo="have it proposed anew")
    return found


def approve(
    conn: Connection, number: int, answer: Answer, now_ms: int, effects: Effects, *, policy: PolicyEngine | None = None
) -> Approved | None:
    """Take a signed approval; with the last that is needed the change is made. None while more people are needed.

    Raises VerificationError, ConflictError or UsageError where it does not count (``approvals.signed``), and ConflictError
    when what the change starts from is no longer so. Nothing is written then.
    """
    size, _ = ledger.lock_head(conn)
    held = waiting(conn, number, now_ms)
    by = casework.person(conn, answer.person)
    review, change = Review(by, True, answer.reason, now_ms), held.change
    signed.admissible(change, change.requester, review, change.change)
    key = signers.check(conn, held.digest, review, answer, now_ms)
    earlier = _earlier(conn, number, signers.in_force(conn))
    standing = signed.count(change, earlier, review).standing
    permits.approve(policy, permits.matter(change), review, held.digest, earlier)
    effect = _effect(effects, change)
    unmoved(conn, effect, change)
    body = {
        "digest": held.digest,
        "nonce": change.nonce,
        **key.record,
        "reason": words.hidden(conn, signed.said(answer.reason)),
        "standing": standing.value,
    }
    _answer(conn, Entry(Kind.CHANGE_APPROVED, now_ms, by, str(number), str(number), body), size)
    if standing is not Standing.APPROVED:
        return None
    permits.make(policy, change, by, [*earlier, review], now_ms)
    made = Approved(number, change, held.digest, by, size)
    outbox.tell(conn, standing.value, number, change.change, "", now_ms)
    effect.do(conn, made, now_ms)
    return made


def deny(conn: Connection, number: int, person: str, reason: str, now_ms: int) -> None:
    """A named person says no, which ends it. Needs no key: refusing opens nothing."""
    size, _ = ledger.lock_head(conn)
    held = waiting(conn, number, now_ms)
    by = casework.person(conn, person)
    body = {"digest": held.digest, "reason": words.hidden(conn, signed.said(reason)), "standing": Standing.DENIED.value}
    outbox.tell(conn, Standing.DENIED.value, number, held.change.change, "", now_ms)
    _answer(conn, Entry(Kind.CHANGE_DENIED, now_ms, by, str(number), str(number), body), size)


def apply_proposed(conn: Connection, body: Mapping[str, Any], entry: int) -> None:
    """Row of a change."""
    change = read(body["proposal"].encode())
    row = {
        "id": entry,
        "change": change.change,
        "subject": change.subject,
        "proposal": body["proposal"],
        "digest": body["digest"],
        "nonce": change.nonce,
        "expires_ms": change.expires_ms,
        "state": Standing.WAITING.value,
        "entry": entry,
    }
    insert_rows(conn, t.changes, [tuple(row[column.name] for column in t.changes.columns)])


def apply_answered(conn: Connection, said: Entry, entry: int) -> None:
    """Rows of an answer. A denial after an approval by the same person takes its place."""
    row = {
        "change_id": int(said.subject),
        "person": said.actor.id,
        "fingerprint": said.body.get("fingerprint", ""),
        "reason": said.body["reason"],
        "at_ms": said.time,
        "entry": entry,
    }
    upsert(conn, t.answers, [row])
    values = {"state": said.body["standing"], "entry": entry}
    conn.execute(update(t.changes).where(t.changes.c.id == int(said.subject)).values(values))


def _answer(conn: Connection, said: Entry, entry: int) -> None:
    apply_answered(conn, said, entry)
    ledger.append(conn, [(said, "")])


def _rows() -> Any:  # noqa: ANN401 - a select of five columns
    c = t.changes.c
    return select(c.id, c.proposal, c.digest, c.state, c.entry)


def _earlier(conn: Connection, number: int, in_force: set[str]) -> list[Review]:
    """Approvals given before, but for those whose key was revoked since."""
    statement = select(t.answers).where(t.answers.c.change_id == number).order_by(t.answers.c.entry)
    rows = [row for row in conn.execute(statement) if row.fingerprint in in_force]
    return [Review(Actor("human", row.person), True, row.reason, row.at_ms) for row in rows]


def _effect(effects: Effects, change: Change) -> Effect:
    if change.change not in effects:
        todo = f"use one of {', '.join(sorted(effects))}"
        raise UsageError(f"nothing can be done about {change.change!r}", where="change", todo=todo)
    return effects[change.change]


def _not_twice(conn: Connection, change: Change, now_ms: int) -> None:
    same = (t.changes.c.change == change.change) & (t.changes.c.subject == change.subject)
    for row in conn.execute(_rows().where(same)):
        one = Pending(*row)
        if one.state == Standing.WAITING.value and one.change.expires_ms > now_ms and one.change.to == change.to:
            raise ConflictError("the same waits already", where=f"change {one.id}", todo=f"see change {one.id}")
