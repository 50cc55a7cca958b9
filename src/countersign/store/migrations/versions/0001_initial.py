"""initial"""

revision = "0001"
down_revision = None


def upgrade() -> None:
    from countersign.store.tables import metadata
    from alembic import op

    metadata.create_all(op.get_bind())
