"""Which pieces of evidence were replaced when a person was erased: a projection of ``person.erased``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from countersign.store.tables_meta import metadata

erased_evidence = Table(
    "erased_evidence",
    metadata,
    Column("digest", String(64), primary_key=True),  # commitment that entries hold
    Column("instead", String(64), nullable=False, index=True),  # digest of the piece in its place, "" when there is none
    Column("entry", BigInteger, nullable=False),  # person.erased that says so last
)
