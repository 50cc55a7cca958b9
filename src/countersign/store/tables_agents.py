"""Tables of the agents that work here, of leases that were revoked, and of uses that were refused: all projections."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from countersign.store.tables_meta import metadata

agents = Table(
    "agents",
    metadata,
    Column("name", String, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("owner", String, nullable=False),  # pseudonym of a person, or "countersign" for those that are built in
    Column("public_key", String(64), nullable=False),  # Ed25519, hex
    Column("operations", Text, nullable=False),  # separated by blanks
    Column("stopped", BigInteger, nullable=False),  # entry that stopped it, -1 while it runs
    Column("reason", Text, nullable=False),  # of the stop, "" while it runs
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("retired_ms", BigInteger, nullable=False),  # 0: never
    Column("entry", BigInteger, nullable=False),
)

revoked_leases = Table(
    "revoked_leases",
    metadata,
    Column("id", String, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),  # when the lease ends by itself: from then on the row is of no use
    Column("at_ms", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
)

lease_refusals = Table(  # so that a flood of refused uses cannot fill the ledger
    "lease_refusals",
    metadata,
    Column("task", String, primary_key=True),
    Column("reason", String, primary_key=True),
    Column("entry", BigInteger, nullable=False),
)
