"""Tables of what the agent may close and closed, and of what people said: projections, but for the seeds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from countersign.store.tables_meta import metadata

autonomy = Table(
    "autonomy",
    metadata,
    Column("scope", String, primary_key=True),
    Column("state", LargeBinary, nullable=False),  # msgpack autonomy.governor.Governed
    Column("entry", BigInteger, nullable=False),  # autonomy.observed that holds the same bytes
)

labels = Table(  # what a person said of a finding, once
    "labels",
    metadata,
    Column("finding_id", String, primary_key=True),
    Column("threat", Integer, nullable=False),
    Column("source", String, nullable=False),  # human | sampled-blind
    Column("at_ms", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
)

judgements = Table(  # labels as the bounds count them: one for each pattern of a disposed case, one for each blind review
    "judgements",
    metadata,
    Column("entry", BigInteger, primary_key=True),
    Column("finding_id", String, primary_key=True),
    Column("case_id", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("pattern", String, nullable=False),
    Column("pico", BigInteger, nullable=False),
    Column("p1_ppm", Integer, nullable=False),  # of the verdict, for the reliability diagram
    Column("threat", Integer, nullable=False),
    Column("quiet", Integer, nullable=False),
    Column("source", String, nullable=False),
    Column("q_ppm", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("model", String, nullable=False),
    Column("policy", String, nullable=False),
    Index("judgements_scope", "scope", "at_ms"),
)

closes = Table(
    "closes",
    metadata,
    Column("finding_id", String, primary_key=True),
    Column("scope", String, nullable=False),
    Column("pattern", String, nullable=False),
    Column("anchor", String, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),  # findings.first_seen_ms
    Column("closed_ms", BigInteger, nullable=False),
    Column("pico", BigInteger, nullable=False),
    Column("p1_ppm", Integer, nullable=False),  # by the site's own reviews
    Column("week", String, nullable=False),
    Column("q_ppm", Integer, nullable=False),
    Column("q_min_ppm", Integer, nullable=False),
    Column("drawn", Integer, nullable=False),
    Column("state", String, nullable=False),  # model.cases.CloseState
    Column("model", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("shared", LargeBinary, nullable=False),  # msgpack (entity keys, evidence ids) for a recall
    Column("entry", BigInteger, nullable=False),
    Index("closes_state", "state", "closed_ms"),
    Index("closes_seen", "seen_ms"),
    Index("closes_hour", "closed_ms", "scope"),
    Index("closes_review", "state", "drawn"),
)

confirmed = Table(  # threats that people confirmed: one more of the same on the same host is no news within a day
    "confirmed",
    metadata,
    Column("key", String, primary_key=True),  # correlate.link.pattern_key
    Column("at_ms", BigInteger, nullable=False),
)

seeds = Table(  # secrets until the week is over: no projection
    "seeds",
    metadata,
    Column("week", String, primary_key=True),
    Column("seed", LargeBinary, nullable=False),
    Column("entry", BigInteger, nullable=False),  # review.committed
    Column("opened", BigInteger, nullable=False),  # review.opened, -1 before
)
