"""The site's inventory in the database: one row per asset and identity."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, select

from countersign.model.inventory import Asset, Identity, Inventory
from countersign.store import tables as t
from countersign.store.sql import upsert

Mode = Literal["replace", "merge"]
_encode = msgspec.json.Encoder().encode
_asset = msgspec.json.Decoder(Asset).decode
_identity = msgspec.json.Decoder(Identity).decode


class Imported(msgspec.Struct, frozen=True):
    """What an import changed: records in the inventory afterwards, and how many were added, changed and removed."""

    mode: Mode
    assets: int
    identities: int
    added: int
    changed: int
    removed: int


def load(conn: Connection) -> Inventory:
    """Everything imported, by name."""
    rows = conn.execute(select(t.inventory.c.kind, t.inventory.c.doc).order_by(t.inventory.c.kind, t.inventory.c.name)).all()
    return Inventory(
        tuple(_asset(row.doc) for row in rows if row.kind == "asset"),
        tuple(_identity(row.doc) for row in rows if row.kind == "identity"),
    )


def save(conn: Connection, inventory: Inventory, mode: Mode = "replace") -> Imported:
    """``replace``: the inventory is exactly this. ``merge``: records of these names are added or replaced, others stay.

    The caller appends the ledger entry in the same transaction.
    """
    old = _docs(load(conn))
    new = _docs(inventory)
    kept = new if mode == "replace" else old | new
    if mode == "replace":
        conn.execute(delete(t.inventory))
    upsert(conn, t.inventory, [{"kind": kind, "name": name, "doc": doc} for (kind, name), doc in new.items()])
    return Imported(
        mode=mode,
        assets=sum(kind == "asset" for kind, _ in kept),
        identities=sum(kind == "identity" for kind, _ in kept),
        added=len(new.keys() - old.keys()),
        changed=sum(1 for key in new.keys() & old.keys() if new[key] != old[key]),
        removed=len(old.keys() - kept.keys()),
    )


def _docs(inventory: Inventory) -> dict[tuple[str, str], bytes]:
    return {("asset", a.name): _encode(a) for a in inventory.assets} | {
        ("identity", i.name): _encode(i) for i in inventory.identities
    }


def version(conn: Connection) -> str:
    """Digest of the stored inventory; a changed one means that lookups built from it are stale."""
    digest = hashlib.sha256()
    for row in conn.execute(select(t.inventory.c.kind, t.inventory.c.doc).order_by(t.inventory.c.kind, t.inventory.c.name)):
        digest.update(row.kind.encode() + b"\0" + row.doc + b"\0")
    return digest.hexdigest()[:16]
