"""How it went with each witness. Not from the ledger: a rebuild leaves it alone."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from countersign.store.tables_meta import metadata

witnesses = Table(
    "witnesses",
    metadata,
    Column("vkey", String, primary_key=True),  # one that is not configured any more is passed over
    Column("size", BigInteger, nullable=False),  # of the last checkpoint that it cosigned for us, 0: none yet
    Column("cosigned_ms", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),  # that failed since it last cosigned
    Column("next_ms", BigInteger, nullable=False),  # not asked again before
    Column("error", String, nullable=False),  # why the last try failed
    Column("alarm", String, nullable=False),  # it says that this log was rolled back or forked; until it cosigns again
)
