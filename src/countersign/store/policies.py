"""Which policy set is in force: the one that people activated last, else the one that ships.

Every set that was ever in force lies whole in the evidence store, named by its ``policy.activated`` entry, so that its
decisions replay, and a file that is changed on the disk changes nothing until people have signed for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from countersign.errors import ConflictError, CountersignError, NotFoundError
from countersign.ledger.canonical import decode
from countersign.model.entries import Actor, Entry, Kind
from countersign.policy.shipped import default_texts
from countersign.policy.texts import PolicyTexts
from countersign.store import evidence, ledger
from countersign.store import tables as t

SYSTEM = Actor("system", "countersign")
SHIPPED, SITE = "shipped", "site"


class Stored(msgspec.Struct, frozen=True):
    """A policy set as the evidence store keeps it."""

    files: dict[str, str]
    schema: str


def keep(conn: Connection, texts: PolicyTexts) -> str:
    """Put a set into the evidence store; returns its digest."""
    blob = evidence.pack("policy", Stored(dict(texts.files), texts.schema))
    evidence.put(conn, [blob])
    return blob.digest


def load(conn: Connection, body: Mapping[str, Any]) -> PolicyTexts:
    """The set that an entry's body (or a change's evidence) names by ``hash`` and ``blob``. Raises NotFoundError,
    VerificationError or ConflictError when the store does not hold it."""
    held = evidence.get(conn, str(body["blob"]), Stored)
    texts = PolicyTexts(held.files, held.schema)
    if texts.hash != body["hash"]:
        raise ConflictError("the evidence holds another policy than its entry names", where=str(body["hash"])[:16])
    return texts


def newest(conn: Connection) -> tuple[int, Entry | None]:
    """(index, entry) of the last ``policy.activated``; (-1, None) before the first."""
    index = ledger.last_index(conn, Kind.POLICY_ACTIVATED)
    if index < 0:
        return -1, None
    return index, decode(conn.execute(t.entries.select().where(t.entries.c.idx == index)).one().bytes)


def in_force(conn: Connection, shipped: PolicyTexts) -> tuple[PolicyTexts, str]:
    """(set to decide with, why it is not the one that people chose). A choice that cannot be read any more gives way to the
    shipped set: every scope steps back by that, since another policy decides, and nothing else is blocked."""
    _, entry = newest(conn)
    if entry is None or entry.body.get("origin") != SITE:
        return shipped, ""
    try:
        texts = load(conn, entry.body)
        texts.handle  # noqa: B018 - parses, or raises
    except CountersignError as error:
        return shipped, str(error)
    return texts, ""


def record(
    conn: Connection,
    texts: PolicyTexts,
    ident: str,
    conditions: tuple[str, ...],
    shipped: PolicyTexts,
    why: str,
    now_ms: int,
) -> None:
    """Record what decides from this start on, when the newest entry says otherwise. ident: set and limits of the scopes."""
    ledger.lock_head(conn)
    _, entry = newest(conn)
    if entry is not None and entry.subject == ident:
        return
    known = entry.body if entry is not None and entry.body.get("hash") == texts.hash else {}
    origin = SHIPPED if texts.hash == shipped.hash else SITE
    body = _body(texts, known.get("blob") or keep(conn, texts), ident, conditions, origin)
    said = Entry(Kind.POLICY_ACTIVATED, now_ms, SYSTEM, ident, "start", body | ({"why": why} if why else {}))
    ledger.append(conn, [(said, "")])


def activate(
    conn: Connection,
    texts: PolicyTexts,
    ident: str,
    conditions: tuple[str, ...],
    by: Actor,
    approval: str,
    proof: Mapping[str, str | int],
    now_ms: int,
) -> None:
    """Put a set in force that people approved. approval: index of the last approval's entry. proof: what proved it."""
    ledger.lock_head(conn)
    origin = SHIPPED if texts.hash == default_texts().hash else SITE
    body = _body(texts, keep(conn, texts), ident, conditions, origin) | {"approval": approval, "proof": dict(proof)}
    ledger.append(conn, [(Entry(Kind.POLICY_ACTIVATED, now_ms, by, ident, "approval", body), "")])


def of_decision(conn: Connection, ident: str) -> PolicyTexts | None:
    """The set that decided under this name; None when it was the gate of a version before policies were kept. Raises
    NotFoundError when no entry names it."""
    for _, entry in ledger.stream_kind(conn, Kind.POLICY_ACTIVATED):
        if entry.subject == ident:
            return load(conn, entry.body) if "blob" in entry.body else None
    raise NotFoundError("the policy that decided is not in the ledger", where=ident[:40])


def at(conn: Connection, index: int) -> tuple[PolicyTexts | None, str]:
    """(set, name) that was in force when the entry of this index was written; None for a gate before policies were kept."""
    found: Entry | None = None
    for place, entry in ledger.stream_kind(conn, Kind.POLICY_ACTIVATED):
        if place <= index:
            found = entry
    if found is None or "blob" not in found.body:
        return None, ""
    return load(conn, found.body), found.subject


def _body(texts: PolicyTexts, blob: str, ident: str, conditions: tuple[str, ...], origin: str) -> dict[str, Any]:
    return {
        "policy": ident,
        "hash": texts.hash,
        "blob": blob,
        "files": sorted(texts.files),
        "conditions": list(conditions),
        "origin": origin,
    }
