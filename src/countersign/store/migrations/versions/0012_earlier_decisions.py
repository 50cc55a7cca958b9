"""What a finding is, and which alerts are behind it, is read from its records; a finding's row names only the newest."""

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
