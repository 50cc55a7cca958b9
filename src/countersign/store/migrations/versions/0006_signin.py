"""Accounts, roles, passkeys, API tokens, and what a sign-in needs for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0003"


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _text(name: str, length: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "accounts", _text("person"), _text("state"), _number("since_ms"), _number("entry"), sa.PrimaryKeyConstraint("person")
    )
    op.create_table(
        "grants",
        *(_text("person"), _text("role"), _text("source"), _number("since_ms"), _number("entry")),
        sa.PrimaryKeyConstraint("person", "role", "source"),
    )
    op.create_table(
        "passkeys",
        *(_text("credential"), _text("person"), _text("key"), _text("rp_id"), _text("transports"), _number("verified")),
        *(_number("sign_count"), _number("created_ms"), _number("revoked_ms"), _number("entry")),
        sa.PrimaryKeyConstraint("credential"),
    )
    op.create_index(op.f("ix_passkeys_person"), "passkeys", ["person"], unique=False)
    op.create_table(
        "api_tokens",
        *(_text("hash", 64), _text("name"), _text("scopes"), _text("holder"), _text("holder_type")),
        *(_number("created_ms"), _number("expires_ms"), _number("revoked_ms"), _number("entry")),
        sa.PrimaryKeyConstraint("hash"),
    )
    _for_a_while()


def _for_a_while() -> None:
    op.create_table(
        "passkey_uses",
        *(_text("credential"), _number("sign_count"), _number("used_ms"), _text("name")),
        sa.PrimaryKeyConstraint("credential"),
    )
    op.create_table("identities", _text("subject", 64), _text("person"), sa.PrimaryKeyConstraint("subject"))
    op.create_table(
        "enrolments",
        *(_text("hash", 64), _text("person"), _text("kind"), _number("expires_ms"), _number("used_ms")),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "sessions",
        *(_text("hash", 64), _text("person"), _text("how"), _number("auth_ms"), _number("created_ms"), _number("seen_ms")),
        *(_number("ends_ms"), _text("agent"), sa.Column("hint", sa.Text(), nullable=False)),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_sessions_person"), "sessions", ["person"], unique=False)
    op.create_table(
        "ceremonies",
        *(_text("hash", 64), _text("kind"), _text("person")),
        *(sa.Column("data", sa.LargeBinary(), nullable=False), _number("expires_ms")),
        sa.PrimaryKeyConstraint("hash"),
    )
