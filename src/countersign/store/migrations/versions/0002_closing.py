"""Closing: scope states, labels, judgements, closes, review seeds; what the case gate minds stands in a column."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TROUBLE = sa.text("trouble > 0")


def upgrade() -> None:
    """Add tables, columns and indexes. Rows of earlier findings get their trouble from their label."""
    _columns()
    _create("autonomy", ("scope",), state=sa.LargeBinary, entry=sa.BigInteger)
    _create("labels", ("finding_id",), threat=sa.Integer, source=sa.String, at_ms=sa.BigInteger, entry=sa.BigInteger)
    _judgements()
    _closes()
    _create("confirmed", ("key",), at_ms=sa.BigInteger)
    _create("seeds", ("week",), seed=sa.LargeBinary, entry=sa.BigInteger, opened=sa.BigInteger)


def _columns() -> None:
    for table, name in (("findings", "quiet"), ("findings", "trouble"), ("cases", "closed")):
        op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE findings SET trouble = CASE label WHEN 'threat' THEN 2 WHEN 'insufficient' THEN 1 ELSE 0 END")
    op.drop_index("findings_anchor", "findings")
    op.drop_index("findings_case", "findings")
    op.create_index("findings_case", "findings", ["case_id", "trouble"])
    where: dict[str, Any] = {"sqlite_where": _TROUBLE, "postgresql_where": _TROUBLE}
    op.create_index("findings_trouble", "findings", ["anchor", "first_seen_ms", "trouble"], **where)
    op.create_index("findings_site_trouble", "findings", ["first_seen_ms", "trouble"], **where)


def _judgements() -> None:
    op.create_table(
        "judgements",
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("finding_id", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("case_id", "scope", "pattern")),
        sa.Column("pico", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("p1_ppm", "threat", "quiet")),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("q_ppm", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("model", "policy")),
        sa.PrimaryKeyConstraint("entry", "finding_id"),
    )
    op.create_index("judgements_scope", "judgements", ["scope", "at_ms"])


def _closes() -> None:
    op.create_table(
        "closes",
        sa.Column("finding_id", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("scope", "pattern", "anchor")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("seen_ms", "closed_ms", "pico")),
        sa.Column("p1_ppm", sa.Integer(), nullable=False),
        sa.Column("week", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("q_ppm", "q_min_ppm", "drawn")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("state", "model", "policy")),
        sa.Column("shared", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("finding_id"),
    )
    op.create_index("closes_state", "closes", ["state", "closed_ms"])
    op.create_index("closes_seen", "closes", ["seen_ms"])
    op.create_index("closes_hour", "closes", ["closed_ms", "scope"])


def _create(name: str, keys: tuple[str, ...], **columns: type[sa.types.TypeEngine[Any]]) -> None:
    op.create_table(
        name,
        *(sa.Column(key, sa.String(), nullable=False) for key in keys),
        *(sa.Column(column, kind(), nullable=False) for column, kind in columns.items()),
        sa.PrimaryKeyConstraint(*keys),
    )
