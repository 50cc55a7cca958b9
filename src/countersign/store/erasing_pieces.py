"""Evidence without a person: each piece that names them, as it is once they are taken out.

Raw messages, records, inventories and the words of probes are written anew. A proposal that names them goes whole: people
signed its very bytes. Models and policies are known by the hash of theirs and cannot be written anew; they are only named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from countersign.ledger.redaction import Redactor
from countersign.model.alerts import Delivery
from countersign.model.inventory import Inventory
from countersign.store import evidence
from countersign.store import tables as t

PAGE = 64
WHOLE = frozenset({"proposal"})
"""Kinds that go as a whole."""
FIXED = frozenset({"model", "policy"})
"""Kinds that are known by their hash."""


class Piece(msgspec.Struct, frozen=True):
    """One piece that names the person. new: what takes its place, None when nothing does or can."""

    digest: str
    kind: str
    new: evidence.Blob | None


def pieces(conn: Connection, redactor: Redactor) -> Iterator[Piece]:
    """Every piece that names the person, with what takes its place."""
    digests = conn.execute(select(t.evidence.c.digest).order_by(t.evidence.c.digest)).scalars().all()
    e = t.evidence.c
    for start in range(0, len(digests), PAGE):
        some = digests[start : start + PAGE]
        for row in conn.execute(select(e.digest, e.kind, e.salt, e.bytes).where(e.digest.in_(some))).all():
            if (piece := _piece(row.digest, row.kind, row.salt, row.bytes, redactor)) is not None:
                yield piece


def _piece(digest: str, kind: str, salt: bytes, data: bytes, redactor: Redactor) -> Piece | None:
    if kind == "delivery":
        old: Any = evidence.unpack(digest, salt, data, Delivery)
        new: Any = _delivery(old, redactor)
    elif kind == "inventory":
        old = evidence.unpack(digest, salt, data, Inventory)
        new = without(old, redactor)
    else:
        old = evidence.unpack(digest, salt, data, object)
        new = redactor.value(old)
    if new == old:
        return None
    return Piece(digest, kind, None if kind in WHOLE | FIXED else evidence.pack(kind, new))


def _delivery(old: Delivery, redactor: Redactor) -> Delivery:
    return Delivery(
        source=old.source,
        origin=redactor.text(old.origin),
        positions=old.positions,
        raws=tuple(redactor.raw(raw) for raw in old.raws),
        header=redactor.raw(old.header),
        mapping=redactor.text(old.mapping),
    )


def without(old: Inventory, redactor: Redactor) -> Inventory:
    """An inventory without the person's identities, and without their name on what they own."""
    kept = [one for one in old.identities if not any(map(redactor.hits, (one.name, *one.aliases)))]
    assets, identities = redactor.value(msgspec.to_builtins(old.assets)), redactor.value(msgspec.to_builtins(kept))
    return msgspec.convert({"assets": assets, "identities": identities}, Inventory)
