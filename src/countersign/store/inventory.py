"""The site's inventory in the database: one row per asset and identity."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, select

from countersign.errors import ConflictError, UsageError
from countersign.model.inventory import Asset, Identity, Inventory
from countersign.store import tables as t
from countersign.store.sql import upsert

MODES = ("replace", "merge")
_Key = tuple[str, str]
_encode = msgspec.json.Encoder().encode
_asset = msgspec.json.Decoder(Asset).decode
_identity = msgspec.json.Decoder(Identity).decode


class Imported(msgspec.Struct, frozen=True):
    """What an import changed: records in the inventory afterwards, and how many were added, changed and removed."""

    mode: str
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


def save(conn: Connection, inventory: Inventory, mode: str = "replace") -> Imported:
    """``replace``: the inventory is exactly this. ``merge``: records of these names are added or replaced, others stay.

    Raises ConflictError when two records of the result claim one name, alias or address: nothing may depend on which of
    them is found first. The caller appends the ledger entry in the same transaction.
    """
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}", where="inventory", todo=f"use {' or '.join(MODES)}")
    old, new = _docs(load(conn)), _docs(inventory)
    kept = new if mode == "replace" else old | new
    _check(kept)
    if mode == "replace":
        conn.execute(delete(t.inventory))
    upsert(conn, t.inventory, [{"kind": kind, "name": name, "doc": _encode(doc)} for (kind, name), doc in new.items()])
    return Imported(
        mode=mode,
        assets=sum(kind == "asset" for kind, _ in kept),
        identities=sum(kind == "identity" for kind, _ in kept),
        added=len(new.keys() - old.keys()),
        changed=sum(1 for key in new.keys() & old.keys() if new[key] != old[key]),
        removed=len(old.keys() - kept.keys()),
    )


def _check(records: dict[_Key, Asset | Identity]) -> None:
    claimed: dict[_Key, str] = {}
    for (kind, name), record in records.items():
        keys = {(kind, text) for text in (name, *record.aliases)}
        if isinstance(record, Asset):
            keys |= {("address", text) for text in record.addresses}
        for key in sorted(keys):
            if (owner := claimed.setdefault(key, name)) != name:
                what = f"{key[1]!r} belongs to {owner!r} and to {name!r}"
                raise ConflictError(what, where="inventory", todo="correct the file, or import it with --replace")


def _docs(inventory: Inventory) -> dict[_Key, Asset | Identity]:
    return {("asset", a.name): a for a in inventory.assets} | {("identity", i.name): i for i in inventory.identities}
