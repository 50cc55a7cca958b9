"""What became of approved actions: a projection of their entries."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from countersign.store.tables_meta import Rowid, metadata

performances = Table(
    "performances",
    metadata,
    Column("proposal_id", Rowid, primary_key=True, autoincrement=False),  # an action is carried out once
    Column("action", String, nullable=False),
    Column("intent", BigInteger, nullable=False),  # index of action.intended, -1 when it came to none
    Column("intended_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),  # 0: nothing was done
    Column("probed_ms", BigInteger, nullable=False),  # 0: not probed yet
    Column("effect", String, nullable=False),  # responses.Effect as probed, "" before
    Column("fault", String, nullable=False),  # errors.TargetFault kind, or why it went to a person
    Column("blob", String(64), nullable=False),  # evidence.digest of the words about it
    Column("minutes", Integer, nullable=False),  # after how long its undo is proposed by itself, 0: never
    Column("undo", BigInteger, nullable=False),  # number of the proposal that would take it back, 0: none yet
    Column("undo_ms", BigInteger, nullable=False),  # when that was proposed
    Column("entry", BigInteger, nullable=False),  # last entry that changed it
)
