"""Indexes for looking entries up: by subject, and newest first among those that are not one of every alert's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

RARE = sa.text("kind NOT IN ('alert.received', 'finding.decided', 'lease.issued')")
MERGED = sa.text("merged_into != ''")


def upgrade() -> None:
    """Create them."""
    op.create_index("entries_subject", "entries", ["subject", "idx"], sqlite_where=RARE, postgresql_where=RARE)
    op.create_index("entries_rare", "entries", ["idx"], sqlite_where=RARE, postgresql_where=RARE)
    op.create_index("cases_merged", "cases", ["merged_into"], sqlite_where=MERGED, postgresql_where=MERGED)
