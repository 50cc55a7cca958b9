"""Tables of actions that wait for people, of their answers, and of the messages about them (no projection)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from countersign.store.tables_meta import Rowid, metadata

proposals = Table(
    "proposals",
    metadata,
    Column("id", Rowid, primary_key=True, autoincrement=False),  # index of its proposal.created
    Column("action", String, nullable=False),
    Column("case_id", String, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # each serves once
    Column("blob", String(64), nullable=False),  # evidence.digest of the canonical bytes
    Column("requester_type", String, nullable=False),
    Column("requester", String, nullable=False),  # pseudonym of a person
    Column("people", Integer, nullable=False),
    Column("denials", Integer, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # approvals.status.Status
    Column("entry", BigInteger, nullable=False),  # last entry that changed it
    Index("proposals_state", "state", "expires_ms"),
    Index("proposals_case", "case_id"),
)

proposal_answers = Table(
    "proposal_answers",
    metadata,
    Column("proposal_id", Rowid, primary_key=True, autoincrement=False),
    Column("person", String, primary_key=True),  # pseudonym: one answer each
    Column("approve", Integer, nullable=False),
    Column("fingerprint", String, nullable=False),  # of the key or passkey; "" of a denial
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
)

notices = Table(  # an outbox: written with what it tells of, worked off after the commit
    "notices",
    metadata,
    Column("id", Rowid, primary_key=True, autoincrement=True),
    Column("channel", String, nullable=False),  # "" until it is known which channels there are
    Column("event", String, nullable=False),  # waits | approved | denied | expired | outdated
    Column("number", BigInteger, nullable=False),  # of the proposal or change; of a witness: size of the log
    Column("what", String, nullable=False),  # action, kind of change, or witnesses
    Column("case_id", String, nullable=False),  # "" of a change and of a witness
    Column("made_ms", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # waits | sent | failed
    Column("tries", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Index("notices_due", "state", "next_ms"),
    sqlite_autoincrement=True,
)
