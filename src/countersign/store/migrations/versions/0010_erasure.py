"""Which pieces of evidence were replaced when a person was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "erased_evidence",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("instead", sa.String(length=64), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_erased_evidence_instead", "erased_evidence", ["instead"])
