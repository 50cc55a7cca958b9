"""What a finding is, and which alerts are behind it, is read from its records; what a case was merged into, from its row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_PLACE = {
    "sqlite": "CAST(json_extract(CAST(e.bytes AS TEXT), '$.body.record.{}') AS {})",
    "postgresql": "CAST(convert_from(e.bytes, 'UTF8')::json #>> '{{body,record,{}}}' AS {})",
}


def upgrade() -> None:
    """Note where the earlier records are; the ledger says so."""
    op.create_table(
        "earlier_decisions",
        sa.Column("finding_id", sa.String(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("finding_id", "entry"),
    )
    said = _PLACE[op.get_bind().dialect.name]
    blob, place = said.format("blob", "TEXT"), said.format("place", "INTEGER")
    op.execute(
        "INSERT INTO earlier_decisions (finding_id, entry, blob, place) "  # noqa: S608 - our own words
        f"SELECT e.subject, e.idx, {blob}, {place} FROM entries e JOIN findings f ON f.id = e.subject "
        "WHERE e.kind = 'finding.decided' AND e.idx < f.entry"
    )
    op.drop_table("finding_alerts")
    op.drop_column("findings", "known")
    op.drop_index("ix_entity_index_case_id", "entity_index")
    _shorten()


def _shorten() -> None:
    """A merged case names the one that has its findings now, however many merges there were in between."""
    cases = sa.table("cases", sa.column("id", sa.String), sa.column("merged_into", sa.String))
    conn = op.get_bind()
    into = dict(conn.execute(sa.select(cases.c.id, cases.c.merged_into).where(cases.c.merged_into != "")).all())
    for merged, first in into.items():
        last = first
        while last in into:
            last = into[last]
        if last != first:
            conn.execute(sa.update(cases).where(cases.c.id == merged).values(merged_into=last))
