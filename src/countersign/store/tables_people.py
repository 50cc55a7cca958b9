"""Tables of people: who may do what, with which passkeys, tokens and sessions.

``accounts``, ``grants``, ``passkeys`` and ``api_tokens`` are projections. The others are not from the ledger: they hold
digests of secrets that live for hours, or lead from a directory's identity to a pseudonym, which erasure must cut.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table, Text

from countersign.store.tables_meta import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("person", String, primary_key=True),  # pseudonym
    Column("state", String, nullable=False),  # active | revoked
    Column("since_ms", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),  # last entry that changed it
)

grants = Table(
    "grants",
    metadata,
    Column("person", String, primary_key=True),
    Column("role", String, primary_key=True),  # authority.roles.Role, or the entitlement "approver"
    Column("source", String, primary_key=True),  # local | oidc
    Column("since_ms", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential", String, primary_key=True),  # WebAuthn credential id, base64url without padding
    Column("person", String, nullable=False, index=True),
    Column("key", String, nullable=False),  # COSE public key, base64url without padding
    Column("rp_id", String, nullable=False),
    Column("transports", String, nullable=False),  # comma-separated
    Column("verified", BigInteger, nullable=False),  # 1: the authenticator verified its user when it was enrolled
    Column("sign_count", BigInteger, nullable=False),  # at enrolment; the newest stands in passkey_uses
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),  # 0 while in force
    Column("entry", BigInteger, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the token, hex
    Column("name", String, nullable=False),
    Column("scopes", String, nullable=False),  # space-separated authority.roles.Scope, sorted
    Column("holder", String, nullable=False),  # pseudonym of a person, or name of an agent or program
    Column("holder_type", String, nullable=False),  # human | agent | program
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),  # 0 while in force
    Column("entry", BigInteger, nullable=False),
)

passkey_uses = Table(  # not from the ledger
    "passkey_uses",
    metadata,
    Column("credential", String, primary_key=True),
    Column("sign_count", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),  # 0 before its first use
    Column("name", String, nullable=False),  # the person's word for it; people name devices after themselves
)

identities = Table(  # not from the ledger
    "identities",
    metadata,
    Column("subject", String(64), primary_key=True),  # SHA-256 of issuer, NUL, subject
    Column("person", String, nullable=False),
)

enrolments = Table(  # not from the ledger
    "enrolments",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the link's token, hex
    Column("person", String, nullable=False),
    Column("kind", String, nullable=False),  # store.enrolments.Kind
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),  # 0 while it can be used
)

sessions = Table(  # not from the ledger
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the cookie's value, hex
    Column("person", String, nullable=False, index=True),
    Column("how", String, nullable=False),  # link | passkey | oidc
    Column("auth_ms", BigInteger, nullable=False),  # when the person proved who they are
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),  # whatever happens
    Column("agent", String, nullable=False),  # what the browser calls itself, shortened
    Column("hint", Text, nullable=False),  # id token to end the session at the provider, or ""
)

ceremonies = Table(  # not from the ledger
    "ceremonies",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the challenge or state
    Column("kind", String, nullable=False),
    Column("person", String, nullable=False),
    Column("data", LargeBinary, nullable=False),  # what the second half needs of the first
    Column("expires_ms", BigInteger, nullable=False),
)

PROJECTIONS = (accounts, grants, passkeys, api_tokens)
