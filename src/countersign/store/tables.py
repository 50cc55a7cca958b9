"""Tables of the one SQL database that is queue, state and outbox (SQLite and PostgreSQL through the same definitions).

Everything marked *projection* is derived from the ledger and the evidence and is recreated by ``countersign rebuild``.
Times are integers: milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from countersign.store import (
    tables_actions,
    tables_agents,
    tables_approvals,
    tables_closing,
    tables_erasure,
    tables_meta,
    tables_people,
)
from countersign.store import tables_witnesses as _witnesses

metadata, Rowid = tables_meta.metadata, tables_meta.Rowid
autonomy, labels, judgements = tables_closing.autonomy, tables_closing.labels, tables_closing.judgements
agents, revoked_leases = tables_agents.agents, tables_agents.revoked_leases
lease_refusals = tables_agents.lease_refusals
closes, confirmed, seeds = tables_closing.closes, tables_closing.confirmed, tables_closing.seeds
performances = tables_actions.performances
proposals, proposal_answers = tables_approvals.proposals, tables_approvals.proposal_answers
notices = tables_approvals.notices
erased_evidence = tables_erasure.erased_evidence
witnesses = _witnesses.witnesses

# --- the way in -------------------------------------------------------------------------------------------------

inbox = Table(
    "inbox",
    metadata,
    Column("id", Rowid, primary_key=True, autoincrement=True),
    Column("source", String, nullable=False),
    Column("blob", String(64), nullable=False),  # evidence.digest of the zstd'ed Delivery
    Column("n", Integer, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("trigger", String, nullable=False),  # "file", "http", or the entry that resubmitted it
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),  # what has been accepted once
    sqlite_with_rowid=False,
)

evidence = Table(
    "evidence",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256(salt ‖ bytes), hex: the commitment in the ledger
    Column("kind", String, nullable=False),  # delivery | records | inventory
    Column("salt", LargeBinary(16), nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)

quarantine = Table(  # projection, but for ``state``
    "quarantine",
    metadata,
    Column("id", Rowid, primary_key=True, autoincrement=False),  # index of its ledger entry
    Column("source", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("position", BigInteger, nullable=False),  # line or record number, 1-based
    Column("blob", String(64), nullable=False),
    Column("item", Integer, nullable=False),  # place within the blob, 0-based
    Column("sha256", String(64), nullable=False),
    Column("field", String, nullable=False),
    Column("error", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # waiting | resubmitted
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the token, hex
    Column("source", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

# --- the ledger -------------------------------------------------------------------------------------------------

BULK = ("alert.received", "finding.decided", "lease.issued")
"""Kinds that every alert leaves behind: what is looked for by subject or by person is seldom among them."""
_RARE = f"kind NOT IN ({', '.join(repr(kind) for kind in BULK)})"


def rare_entries() -> ColumnElement[bool]:
    """Entries of other kinds, in the very words of the partial indexes, so that the databases use them."""
    return text(_RARE)  # type: ignore[return-value]  # a condition as text


entries = Table(
    "entries",
    metadata,
    Column("idx", Rowid, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("case_id", String, nullable=False),  # "" when it concerns no case
    Column("time_ms", BigInteger, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Index("entries_case", "case_id", "idx"),
    Index("entries_kind", "kind", "idx"),
    Index("entries_subject", "subject", "idx", sqlite_where=text(_RARE), postgresql_where=text(_RARE)),
    Index("entries_rare", "idx", sqlite_where=text(_RARE), postgresql_where=text(_RARE)),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1: the row whose lock orders commits
    Column("size", BigInteger, nullable=False),
    Column("next_case", BigInteger, nullable=False),
)

pseudonyms = Table(  # the key table beside the log: deleting a row is the erasure
    "pseudonyms",
    metadata,
    Column("value", String, primary_key=True),  # entity key, or person:NAME
    Column("pseudonym", String, nullable=False, unique=True),
)

# --- projections ------------------------------------------------------------------------------------------------

findings = Table(
    "findings",
    metadata,
    Column("id", String, primary_key=True),
    Column("case_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("product", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("host", String, nullable=False),
    Column("anchor", String, nullable=False),  # host, or whom it is about (model.findings.anchor)
    Column("pattern", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("tactics", String, nullable=False),  # comma-separated ids
    Column("techniques", String, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("label", String, nullable=False),  # verdicts.Label
    Column("rarity", Integer, nullable=False),  # milli-nats within its pattern
    Column("pico", BigInteger, nullable=False),
    Column("p0_ppm", Integer, nullable=False),
    Column("p1_ppm", Integer, nullable=False),
    Column("action", String, nullable=False),  # decisions.Action
    Column("advice", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("entry", BigInteger, nullable=False),  # index of the latest finding.decided
    Column("decided_ms", BigInteger, nullable=False),
    Column("quiet", Integer, nullable=False),  # decisions.Quiet: 1 all but stage and threshold held, 2 would be closed
    Column("trouble", Integer, nullable=False),  # what the case gate minds: 1 undecided, 2 a threat
    Column("blob", String(64), nullable=False),  # evidence.digest of the Records that hold its record
    Column("place", Integer, nullable=False),
    Column("entities", Text, nullable=False),  # their keys in lower case, one a line, for the search
    Index("findings_case", "case_id", "trouble"),
    Index("findings_pattern", "pattern"),
)
Index(
    "findings_trouble",
    findings.c.anchor,
    findings.c.first_seen_ms,
    findings.c.trouble,
    sqlite_where=findings.c.trouble > 0,
    postgresql_where=findings.c.trouble > 0,
)
Index(
    "findings_site_trouble",
    findings.c.first_seen_ms,
    findings.c.trouble,
    sqlite_where=findings.c.trouble > 0,
    postgresql_where=findings.c.trouble > 0,
)

earlier_decisions = Table(  # of a finding, before the one in its row; seldom more than the first
    "earlier_decisions",
    metadata,
    Column("finding_id", String, primary_key=True),
    Column("entry", BigInteger, primary_key=True),
    Column("blob", String(64), nullable=False),
    Column("place", Integer, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),  # C-1001 …
    Column("status", String, nullable=False),  # cases.CaseStatus
    Column("title", Text, nullable=False),  # of its top finding
    Column("severity", Integer, nullable=False),  # highest
    Column("host", String, nullable=False),  # of its top finding
    Column("products", String, nullable=False),  # comma-separated, sorted
    Column("tactics", String, nullable=False),  # comma-separated ids in kill-chain order
    Column("techniques", String, nullable=False),
    Column("stages", String, nullable=False),  # furthest tactic of each finding, each once (triage.tactics)
    Column("findings", Integer, nullable=False),
    Column("closed", Integer, nullable=False),  # findings that the agent closed
    Column("alerts", BigInteger, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("top_finding", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("label", String, nullable=False),
    Column("pico", BigInteger, nullable=False),  # of the top finding
    Column("rank", BigInteger, nullable=False),  # pico plus what the case as a whole adds: the queue's order
    Column("p0_ppm", Integer, nullable=False),
    Column("p1_ppm", Integer, nullable=False),
    Column("advice", String, nullable=False),  # close only when every finding's advice is close
    Column("why", Text, nullable=False),
    Column("owner", String, nullable=False),
    Column("disposition", String, nullable=False),  # cases.Disposition or ""
    Column("reason", Text, nullable=False),
    Column("disposed_by", String, nullable=False),  # pseudonym
    Column("disposed_ms", BigInteger, nullable=False),
    Column("merged_into", String, nullable=False),  # never a case that was merged itself
    Column("entry", BigInteger, nullable=False),  # last entry that changed it: the ETag
    Index("cases_queue", "status", "rank"),
)
Index(
    "cases_merged", cases.c.merged_into, sqlite_where=cases.c.merged_into != "", postgresql_where=cases.c.merged_into != ""
)

entity_index = Table(
    "entity_index",
    metadata,
    Column("key", String, primary_key=True),
    Column("case_id", String, nullable=False),  # as it was when written: cases.merged_into leads on
    Column("finding_id", String, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("findings", Integer, nullable=False),
)

rules = Table(
    "rules",
    metadata,
    Column("rule_key", String, primary_key=True),
    Column("firings", BigInteger, nullable=False),  # findings
    Column("hosts", Integer, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("quiet_s", BigInteger, nullable=False),  # before its latest run of firings
    Column("benign", Integer, nullable=False),  # human dispositions
    Column("threat", Integer, nullable=False),
    Index("rules_recent", "last_seen_ms"),
    Index("rules_oldest", "first_seen_ms"),
)

pairs = Table(
    "pairs",
    metadata,
    Column("key", String, primary_key=True),  # anchor, unit separator, rule
    Column("host", String, nullable=False),  # findings.anchor
    Column("rule_key", String, nullable=False),
    Column("firings", BigInteger, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("quiet_s", BigInteger, nullable=False),
    Index("pairs_recent", "host", "last_seen_ms"),
)

activity = Table(
    "activity",
    metadata,
    Column("host", String, primary_key=True),  # findings.anchor; "*" is the site
    Column("window_ms", BigInteger, primary_key=True),
    Column("alerts", BigInteger, nullable=False),
    Column("findings", BigInteger, nullable=False),
)

patterns = Table(
    "patterns",
    metadata,
    Column("pattern", String, primary_key=True),
    Column("benign", Integer, nullable=False),
    Column("threat", Integer, nullable=False),
    Column("newest_ms", BigInteger, nullable=False),
    Column("rarities", LargeBinary, nullable=False),  # msgpack [int]: nonconformity of its reviewed findings
)

inventory = Table(
    "inventory",
    metadata,
    Column("kind", String, primary_key=True),  # asset | identity
    Column("name", String, primary_key=True),
    Column("doc", LargeBinary, nullable=False),  # JSON of model.inventory.Asset / Identity
)

people = Table(
    "people",
    metadata,
    Column("fingerprint", String, primary_key=True),  # approvals.sshsig.PublicKey.fingerprint
    Column("person", String, nullable=False),  # pseudonym
    Column("key", Text, nullable=False),  # approvals.sshsig.PublicKey.line
    Column("entitlement", String, nullable=False),
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),  # 0 while in force
    Column("entry", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("id", Rowid, primary_key=True, autoincrement=False),  # index of its change.proposed
    Column("change", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("proposal", Text, nullable=False),  # the canonical bytes
    Column("digest", String(64), nullable=False),
    Column("nonce", String, nullable=False, unique=True),  # each serves once
    Column("expires_ms", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # approvals.quorum.Standing but for expired, which only the clock says
    Column("entry", BigInteger, nullable=False),
    Index("changes_state", "state", "expires_ms"),
)

answers = Table(
    "answers",
    metadata,
    Column("change_id", Rowid, primary_key=True, autoincrement=False),
    Column("person", String, primary_key=True),  # pseudonym
    Column("fingerprint", String, nullable=False),  # "" of a denial
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

switches = Table(
    "switches",
    metadata,
    Column("name", String, primary_key=True),  # "*" or a scope
    Column("value", String, nullable=False),
    Column("entry", BigInteger, nullable=False),
)

PROJECTIONS = (
    quarantine,
    findings,
    earlier_decisions,
    cases,
    entity_index,
    rules,
    pairs,
    activity,
    patterns,
    inventory,
    people,
    changes,
    answers,
    proposals,
    proposal_answers,
    performances,
    counters,
    switches,
    autonomy,
    labels,
    judgements,
    closes,
    confirmed,
    agents,
    revoked_leases,
    lease_refusals,
    erased_evidence,
    *tables_people.PROJECTIONS,
)
