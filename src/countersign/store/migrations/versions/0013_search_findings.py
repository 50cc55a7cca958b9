"""The search looks through every finding: the keys of its entities stand in its row."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

revision = "0013"
down_revision = "0012"

_STANDING = (
    "SELECT f.id AS id, f.place AS place, e.digest AS digest FROM findings f "
    "LEFT JOIN erased_evidence x ON x.digest = f.blob "
    "JOIN evidence e ON e.digest = COALESCE(NULLIF(x.instead, ''), f.blob) ORDER BY e.digest"
)


def upgrade() -> None:
    """Older findings get them from their records, where those are there still."""
    op.add_column("findings", sa.Column("entities", sa.Text(), nullable=False, server_default=""))
    conn = op.get_bind()
    for digest, rows in groupby(conn.execute(sa.text(_STANDING)).all(), key=lambda row: row.digest):
        data = conn.execute(sa.text("SELECT bytes FROM evidence WHERE digest = :digest"), {"digest": digest}).scalar_one()
        records = msgspec.msgpack.decode(zstd.decompress(data))["records"]
        filled = [{"id": row.id, "text": "\n".join(_keys(records[row.place])).lower()} for row in rows]
        conn.execute(sa.text("UPDATE findings SET entities = :text WHERE id = :id"), filled)


def _keys(record: bytes) -> Iterator[str]:
    finding: dict[str, Any] = msgspec.msgpack.decode(record)["finding"]
    yield from (f"{kind}:{value}" for kind, value, _ in finding["entities"])
