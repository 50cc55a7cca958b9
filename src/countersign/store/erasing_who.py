"""Who is to be erased: every name that the site knows one person by, and what only looks like them.

A name given is that of a login, a mail address or an operator. ``DOMAIN\\NAME`` and ``NAME@DOMAIN`` are taken for the same
person, and so is everything that an identity of the inventory with that name goes by; ``keep`` takes any of it out again.
Names of other people and of hosts that contain the name stay whole: a host's name is no person's, and stands in the
ledger in clear.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, select

from countersign.errors import ConflictError, UsageError
from countersign.ledger.redaction import TOKEN_PREFIX, Redactor, account_forms
from countersign.model.entities import PERSONAL, EntityType
from countersign.store import accounts, inventory, recorded
from countersign.store import tables as t
from countersign.store.act import check_text

PERSON = "person"
_KINDS = (EntityType.USER.value, EntityType.MAIL.value, PERSON)


class Wanted(msgspec.Struct, frozen=True):
    """What a person asked for. names: as given, with or without ``user:``, ``mail:``, ``person:`` before them. keep: names
    or keys of others, though they look like this person's."""

    names: tuple[str, ...]
    keep: tuple[str, ...] = ()


class Who(msgspec.Struct, frozen=True):
    """One person. names: to be taken out everywhere. others: names that contain one of them and stay. rows: their rows of
    the key table as (value, pseudonym). token: what stands in a name's place. subject: the pseudonym that entries know.
    hosts: those called exactly like the person, which cannot be told apart."""

    names: tuple[str, ...]
    others: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    token: str
    subject: str
    hosts: tuple[str, ...] = ()

    def redactor(self, *, encoded: bool = True) -> Redactor:
        """Takes them out of values."""
        return Redactor(self.names, self.token, self.others, encoded=encoded)

    @property
    def operator(self) -> tuple[str, ...]:
        """Pseudonyms of the person as one who works here."""
        return tuple(pseudonym for value, pseudonym in self.rows if value.startswith(f"{PERSON}:"))


def identify(conn: Connection, wanted: Wanted) -> Who:
    """Find the person. Raises UsageError for a name that cannot be looked for."""
    for text in (*wanted.names, *wanted.keep):
        check_text(text, "person")
    names = {_bare(name) for name in wanted.names}
    if not all(names):
        raise UsageError("no name given", where="person", todo="give a login, a mail address or an operator's name")
    keep = {text.casefold() for text in wanted.keep} | {_bare(text).casefold() for text in wanted.keep if ":" not in text}
    keys = list(conn.execute(select(t.pseudonyms.c.value, t.pseudonyms.c.pseudonym).order_by(t.pseudonyms.c.value)).all())
    people, hosts = _seen(conn)
    people |= {(kind, rest) for kind, _, rest in (key.value.partition(":") for key in keys) if kind in _KINDS}
    found = _shortest(_grown(conn, names, keep))
    others = {value for kind, value in people if not _theirs(found, kind, value, keep)}
    namesakes = {host for host in hosts if host.casefold() in {name.casefold() for name in found}}
    who = Who(
        names=tuple(sorted(found)),
        others=tuple(sorted(others | hosts - namesakes)),
        rows=(),
        token=f"{TOKEN_PREFIX}{secrets.token_hex(6)}",
        subject="",
        hosts=tuple(sorted(namesakes)),
    )
    rows = [(key.value, key.pseudonym) for key in keys if _row_goes(who.redactor(), key.value, keep)]
    return _named(who, rows)


def _bare(name: str) -> str:
    kind, colon, rest = name.strip().partition(":")
    return rest.strip() if colon and kind in _KINDS else name.strip()


def _theirs(names: Iterable[str], kind: str, value: str, keep: set[str]) -> bool:
    if f"{kind}:{value}".casefold() in keep or value.casefold() in keep:
        return False
    return any(account_forms(name, value) for name in names)


def _grown(conn: Connection, names: set[str], keep: set[str]) -> set[str]:
    """The names, and everything else that the inventory's identities of these names go by."""
    grown = set(names)
    for identity in inventory.load(conn).identities:
        every = (identity.name, *identity.aliases)
        if any(_theirs(names, EntityType.USER.value, one, keep) for one in every):
            grown |= {one for one in every if one.casefold() not in keep}
    return grown


def _shortest(names: set[str]) -> set[str]:
    """Without those that are but another form of one of the others: what is found by the login alone stays told apart."""
    return {one for one in names if not any(two.casefold() != one.casefold() and account_forms(two, one) for two in names)}


def _seen(conn: Connection) -> tuple[set[tuple[str, str]], set[str]]:
    """(kind, name) of the people in all findings, and the names of all hosts, the inventory's among them."""
    people: set[tuple[str, str]] = set()
    hosts = {name for asset in inventory.load(conn).assets for name in (asset.name, *asset.aliases)}
    for _, outline in recorded.every(conn):
        for entity in outline.finding.entities:
            if entity.type in PERSONAL:
                people.add((entity.type.value, entity.value))
            elif entity.type is EntityType.HOST:
                hosts.add(entity.value)
    people |= {
        (EntityType.USER.value, name)
        for identity in inventory.load(conn).identities
        for name in (identity.name, *identity.aliases)
    }
    return people, hosts


def _row_goes(redactor: Redactor, value: str, keep: set[str]) -> bool:
    return value.casefold() not in keep and redactor.hits(value)


def _named(who: Who, rows: Sequence[tuple[str, str]]) -> Who:
    """With the pseudonym that stands for the whole person: the first of a login, a mail address, an operator."""
    if not rows:
        return msgspec.structs.replace(who, subject=who.token)
    given = {name.casefold() for name in who.names}

    def place(row: tuple[str, str]) -> tuple[int, bool, str]:
        kind, _, rest = row[0].partition(":")
        return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), rest.casefold() not in given, rest

    first = min(rows, key=place)
    token = TOKEN_PREFIX + first[1].rpartition("~")[2]
    return msgspec.structs.replace(who, rows=tuple(rows), token=token, subject=first[1])


def must_be_idle(conn: Connection, who: Who) -> None:
    """Raises ConflictError while the person may still act here: erasing them would leave an account without a name."""
    for pseudonym in who.operator:
        keys = conn.execute(
            select(t.people.c.person).where(t.people.c.person == pseudonym, t.people.c.revoked_ms == 0)
        ).first()
        if keys is not None or accounts.state(conn, pseudonym) == accounts.ACTIVE:
            todo = "run `countersign people revoke` first, or leave the account out with --keep"
            raise ConflictError("this person may still act here", where=pseudonym, todo=todo)
