"""API tokens: scoped, expiring, revocable; only their SHA-256 is kept. Each belongs to a person, an agent or a program.

A person's token counts for no more than the person does at that moment: it falls with the account.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from countersign.authority.roles import INTAKE, Right, Scope, token_rights
from countersign.errors import NotFoundError, UsageError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import accounts, ledger
from countersign.store import tables_people as tp
from countersign.store.sql import insert_new

HUMAN, AGENT, PROGRAM = "human", "agent", "program"
DAY_MS = 86_400_000
NAME_CHARS_MAX = 80


class Token(msgspec.Struct, frozen=True):
    """One token without its secret. scopes: space-separated. holder: a person's pseudonym, or the name of an
    agent or program."""

    hash: str
    name: str
    scopes: str
    holder: str
    holder_type: str
    created_ms: int
    expires_ms: int
    revoked_ms: int
    entry: int


class Bearer(msgspec.Struct, frozen=True):
    """Who a presented token speaks for, and what it may."""

    holder: str
    holder_type: str
    scopes: frozenset[str]
    rights: frozenset[Right]
    expires_ms: int


def digest(token: str) -> str:
    """Under which a token is kept: its 256 random bits need no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def issue(conn: Connection, name: str, scopes: Collection[str], holder: Actor, days: int, by: Actor, now_ms: int) -> str:
    """A new token, shown this once. Raises UsageError for a scope that does not exist and a name that cannot be kept."""
    _check(name, scopes)
    size, _ = ledger.lock_head(conn)
    token = f"cs_{secrets.token_urlsafe(32)}"
    body = {
        "name": name,
        "scopes": " ".join(sorted(set(scopes))),
        "holder": holder.id,
        "holder_type": holder.type,
        "expires": now_ms + days * DAY_MS,
        "hash": digest(token),
    }
    apply_issued(conn, body, size, now_ms)
    ledger.append(conn, [(Entry(Kind.TOKEN_ISSUED, now_ms, by, holder.id, "command", body), "")])
    return token


def revoke(conn: Connection, which: str, by: Actor, now_ms: int, reason: str) -> int:
    """Revoke every token of this name, or of this hash's beginning (8 digits or more). Raises NotFoundError."""
    size, _ = ledger.lock_head(conn)
    held = [one for one in every(conn) if not one.revoked_ms and _named(one, which)]
    if not held:
        raise NotFoundError(f"no token {which!r} is in force", where="tokens", todo="see `countersign tokens list`")
    hashes = [one.hash for one in held]
    body = {"hashes": hashes, "reason": reason}
    apply_revoked(conn, body, size, now_ms)
    ledger.append(conn, [(Entry(Kind.TOKEN_REVOKED, now_ms, by, held[0].holder, "command", body), "")])
    return len(hashes)


def every(conn: Connection) -> tuple[Token, ...]:
    """Every token ever issued here, the oldest first."""
    columns = [tp.api_tokens.c[name] for name in Token.__struct_fields__]
    return tuple(Token(*row) for row in conn.execute(select(*columns).order_by(tp.api_tokens.c.entry)))


def bearer(conn: Connection, token: str, now_ms: int) -> Bearer | None:
    """Who a presented token speaks for; None when it is unknown, expired, revoked, or its person may nothing any more."""
    c = tp.api_tokens.c
    row = conn.execute(select(tp.api_tokens).where(c.hash == digest(token))).first()
    if row is None or row.revoked_ms or row.expires_ms <= now_ms:
        return None
    scopes = frozenset(row.scopes.split())
    rights = token_rights(scopes)
    if row.holder_type == HUMAN:
        rights &= accounts.rights(conn, row.holder) | {Right.INTAKE}
        if accounts.state(conn, row.holder) != accounts.ACTIVE:
            return None
    return Bearer(row.holder, row.holder_type, scopes, rights, row.expires_ms)


def apply_issued(conn: Connection, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Row of a token."""
    row = {name: body[name] for name in ("hash", "name", "scopes", "holder", "holder_type")}
    times = {"created_ms": now_ms, "expires_ms": body["expires"], "revoked_ms": 0, "entry": entry}
    insert_new(conn, tp.api_tokens, [row | times])


def apply_revoked(conn: Connection, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Rows of revoked tokens."""
    mine = tp.api_tokens.c.hash.in_(body["hashes"])
    conn.execute(update(tp.api_tokens).where(mine).values(revoked_ms=now_ms, entry=entry))


def _named(one: Token, which: str) -> bool:
    return one.name == which or (len(which) >= 8 and one.hash.startswith(which))


def _check(name: str, scopes: Collection[str]) -> None:
    if not name.isprintable() or not 0 < len(name) <= NAME_CHARS_MAX:
        raise UsageError(f"a token's name has 1 to {NAME_CHARS_MAX} printable characters", where="name")
    unknown = [one for one in scopes if one not in set(Scope) and not one.startswith(INTAKE)]
    if unknown or not scopes:
        todo = f"use {', '.join(Scope)} or {INTAKE}SOURCE"
        raise UsageError(f"unknown scope {', '.join(unknown) or 'none'}", where="scope", todo=todo)
