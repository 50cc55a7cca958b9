"""Passkeys of people: public keys from the ledger, and beside it how often each was used.

The entry of an enrolment holds the whole COSE public key, so a stranger checks a passkey's signature from the ledger alone.
Sign counts and the names that people give their devices stand in a table of their own, which is not from the ledger.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from countersign.authority.registered import Made
from countersign.errors import ConflictError, NotFoundError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import ledger, words
from countersign.store import tables_people as tp
from countersign.store.sql import insert_new, upsert

PER_PERSON_MAX = 20
NAME_CHARS_MAX = 60


class Passkey(msgspec.Struct, frozen=True):
    """One credential. credential, key: base64url without padding; ``key`` is the COSE public key. verified: 1 when the
    authenticator verified its user at enrolment. sign_count: newest that was seen. Times in milliseconds, 0 for never."""

    credential: str
    person: str
    key: str
    rp_id: str
    transports: str
    verified: int
    sign_count: int
    created_ms: int
    revoked_ms: int
    entry: int
    used_ms: int = 0
    name: str = ""

    @property
    def credential_id(self) -> bytes:
        """As WebAuthn hands it over."""
        return unb64(self.credential)

    @property
    def public_key(self) -> bytes:
        """COSE_Key bytes."""
        return unb64(self.key)


def active(conn: Connection, person: str) -> tuple[Passkey, ...]:
    """A person's passkeys that are in force, the oldest first."""
    return _read(conn, (tp.passkeys.c.person == person) & (tp.passkeys.c.revoked_ms == 0))


def of(conn: Connection, person: str) -> tuple[Passkey, ...]:
    """All that a person ever had, the oldest first."""
    return _read(conn, tp.passkeys.c.person == person)


def find(conn: Connection, credential_id: bytes) -> Passkey | None:
    """The passkey of this credential id, revoked ones included (``revoked_ms``); None when nobody enrolled it."""
    return next(iter(_read(conn, tp.passkeys.c.credential == b64(credential_id))), None)


def used(conn: Connection, credential_id: bytes, sign_count: int, now_ms: int) -> None:
    """Note a use and the count that the authenticator gave with it."""
    mine = tp.passkey_uses.c.credential == b64(credential_id)
    conn.execute(update(tp.passkey_uses).where(mine).values(sign_count=sign_count, used_ms=now_ms))


def enrol(conn: Connection, person: str, made: Made, name: str, by: Actor, now_ms: int, trigger: str) -> None:
    """Enrol a passkey. trigger: the way it came, such as ``link``. Raises ConflictError for a credential that is known
    already, and beyond ``PER_PERSON_MAX``."""
    size, _ = ledger.lock_head(conn)
    if find(conn, made.credential_id) is not None:
        raise ConflictError("this passkey is enrolled already", where="passkey", todo="sign in with it")
    if len(active(conn, person)) >= PER_PERSON_MAX:
        raise ConflictError(f"nobody has more than {PER_PERSON_MAX} passkeys", where="passkey", todo="remove one first")
    body = {
        "credential": b64(made.credential_id),
        "key": b64(made.public_key),
        "rp_id": made.rp_id,
        "transports": sorted(made.transports),
        "verified": int(made.verified),
        "sign_count": made.sign_count,
    }
    apply_enrolled(conn, person, body, size, now_ms)
    row = {"credential": body["credential"], "sign_count": made.sign_count, "used_ms": now_ms, "name": name[:NAME_CHARS_MAX]}
    upsert(conn, tp.passkey_uses, [row])
    ledger.append(conn, [(Entry(Kind.PASSKEY_ENROLLED, now_ms, by, person, trigger, body), "")])


def revoke(conn: Connection, person: str, credential: str, by: Actor, now_ms: int, reason: str) -> None:
    """Take one passkey (base64url id) of a person out of force. Raises NotFoundError."""
    size, _ = ledger.lock_head(conn)
    if credential not in {one.credential for one in active(conn, person)}:
        raise NotFoundError("there is no such passkey", where="passkey", todo="reload the page")
    body = {"credential": credential, "reason": words.hidden(conn, reason)}
    apply_revoked(conn, body, size, now_ms)
    ledger.append(conn, [(Entry(Kind.PASSKEY_REVOKED, now_ms, by, person, "command", body), "")])


def apply_enrolled(conn: Connection, person: str, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Row of a passkey."""
    row = {**body, "transports": ",".join(body["transports"]), "person": person}
    insert_new(conn, tp.passkeys, [row | {"created_ms": now_ms, "revoked_ms": 0, "entry": entry}])


def apply_revoked(conn: Connection, body: Mapping[str, Any], entry: int, now_ms: int) -> None:
    """Row of a passkey that is out of force."""
    mine = tp.passkeys.c.credential == body["credential"]
    conn.execute(update(tp.passkeys).where(mine).values(revoked_ms=now_ms, entry=entry))


def b64(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Its inverse."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _read(conn: Connection, where: Any) -> tuple[Passkey, ...]:  # noqa: ANN401 - a condition
    p, u = tp.passkeys, tp.passkey_uses
    statement = select(p, u.c.sign_count.label("newest"), u.c.used_ms, u.c.name)
    joined = statement.select_from(p.outerjoin(u, u.c.credential == p.c.credential))
    rows = conn.execute(joined.where(where).order_by(p.c.entry, p.c.credential)).mappings()
    return tuple(_passkey(dict(row)) for row in rows)


def _passkey(row: dict[str, Any]) -> Passkey:
    newest = row.pop("newest")
    row["sign_count"] = max(row["sign_count"], newest or 0)
    return Passkey(**row | {"used_ms": row["used_ms"] or 0, "name": row["name"] or ""})
