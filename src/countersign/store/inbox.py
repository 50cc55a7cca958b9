"""The inbox: an accepted alert is on disk before anyone is told so (P9), and one delivery is accepted once.

What makes a delivery the same as an earlier one: the sender's idempotency key, else its place in a file. A file's place is
a running hash over everything before it, so a file that has grown since is taken up where it was left, and a copy of it
under another name is still the same delivery. Alerts that carry their own id are checked again in the hot path, where
they are parsed. Equal bytes alone are never a duplicate: real alerts repeat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from countersign.model.alerts import BATCH_ALERTS_MAX, Delivery
from countersign.store import evidence
from countersign.store import tables as t
from countersign.store.sql import chunks, insert_new_rows

KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Claimed:
    """One inbox row taken by a micro-batch."""

    id: int
    source: str
    blob: str
    n: int
    trigger: str


class FileChain:
    """Running hash over a file's messages: the delivery key of each place in it.

    One key per accepted chunk is stored. Because every key depends on all bytes before it, finding one of them in a chunk
    proves that everything up to there was delivered; a chunk with none proves that nothing after it was.
    """

    def __init__(self, source: str, mapping: str = "") -> None:
        seed = f"countersign-file-v2\x00{source}\x00{mapping}".encode()
        self._state = hashlib.sha256(seed).digest()[:KEY_BYTES]
        self._known_end = False

    def step(self, conn: Connection, delivery: Delivery) -> tuple[Delivery | None, int, bytes]:
        """(what is new, how many were delivered before, key that marks the end of this chunk)."""
        keys = self._advance(delivery.raws)
        done = 0 if self._known_end else self._delivered(conn, keys)
        self._known_end = self._known_end or done < len(keys)
        if done == len(keys):
            return None, done, keys[-1]
        rest = msgspec.structs.replace(delivery, positions=delivery.positions[done:], raws=delivery.raws[done:])
        return rest, done, keys[-1]

    def _advance(self, raws: Sequence[bytes]) -> list[bytes]:
        keys = []
        state = self._state
        for raw in raws:
            state = hashlib.sha256(state + raw).digest()[:KEY_BYTES]  # whole messages: processors have SHA-256 built in
            keys.append(state)
        self._state = state
        return keys

    @staticmethod
    def _delivered(conn: Connection, keys: list[bytes]) -> int:
        known = known_keys(conn, keys)
        return max((i + 1 for i, key in enumerate(keys) if key in known), default=0)


def known_keys(conn: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those of ``keys`` that have been accepted before."""
    found: set[bytes] = set()
    for part in chunks(keys):
        statement = select(t.deliveries.c.key).where(t.deliveries.c.key.in_(part))
        found.update(bytes(key) for key in conn.execute(statement).scalars())
    return found


def request_key(source: str, idempotency_key: str) -> bytes:
    """Delivery key of an HTTP request with an idempotency key."""
    text = f"countersign-request-v1\x00{source}\x00{idempotency_key}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()


def alert_key(source: str, uid: str, sha256: bytes) -> bytes:
    """Delivery key of an alert with its own id. The bytes count too: the same id with other content is news, not noise."""
    text = f"countersign-alert-v1\x00{source}\x00{uid}\x00".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text + sha256, digest_size=KEY_BYTES).digest()


def remember_keys(conn: Connection, keys: Sequence[bytes]) -> None:
    """Mark deliveries as accepted."""
    insert_new_rows(conn, t.deliveries, [(key,) for key in keys])


def take_keys(conn: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Mark deliveries as accepted, each key once; returns those that had been accepted before. Nearly always there are
    none, which writing them says by itself; only else are they looked up."""
    if not keys:
        return set()
    attempt = conn.begin_nested()
    if insert_new_rows(conn, t.deliveries, [(key,) for key in keys]) == len(keys):
        attempt.commit()
        return set()
    attempt.rollback()
    known = known_keys(conn, keys)
    remember_keys(conn, [key for key in keys if key not in known])
    return known


def accept(
    conn: Connection, deliveries: Sequence[Delivery], keys: Sequence[bytes], *, trigger: str, now_ms: int
) -> list[evidence.Blob]:
    """Write deliveries and their keys; they are accepted once the caller's transaction commits."""
    blobs = [evidence.pack("delivery", delivery) for delivery in deliveries]
    evidence.put(conn, blobs)
    rows = [
        {"source": d.source, "blob": b.digest, "n": len(d.raws), "received_ms": now_ms, "trigger": trigger}
        for d, b in zip(deliveries, blobs, strict=True)
    ]
    if rows:
        conn.execute(insert(t.inbox), rows)
    remember_keys(conn, list(dict.fromkeys(keys)))
    return blobs


def claim(conn: Connection, *, most: int = BATCH_ALERTS_MAX, only: int | None = None) -> list[Claimed]:
    """Oldest waiting rows holding at most ``most`` alerts (always at least one row); other workers skip them."""
    statement = select(t.inbox).order_by(t.inbox.c.id).limit(64).with_for_update(skip_locked=True)
    if only is not None:
        statement = statement.where(t.inbox.c.id == only)
    taken: list[Claimed] = []
    total = 0
    for row in conn.execute(statement):
        if taken and total + row.n > most:
            break
        taken.append(Claimed(row.id, row.source, row.blob, row.n, row.trigger))
        total += row.n
    return taken


def done(conn: Connection, claimed: Sequence[Claimed]) -> None:
    """Forget rows whose alerts now stand in findings, entries or quarantine."""
    conn.execute(delete(t.inbox).where(t.inbox.c.id.in_([row.id for row in claimed])))


def waiting(conn: Connection) -> int:
    """Alerts accepted and not yet processed."""
    return int(conn.execute(select(func.coalesce(func.sum(t.inbox.c.n), 0))).scalar_one())


def waiting_by_trigger(conn: Connection) -> dict[str, int]:
    """Alerts accepted and not yet processed, by what put them there."""
    statement = select(t.inbox.c.trigger, func.sum(t.inbox.c.n)).group_by(t.inbox.c.trigger)
    return {trigger: int(number) for trigger, number in conn.execute(statement)}
