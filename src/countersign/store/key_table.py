"""Does the key table (``pseudonyms``) still say whom the ledger means?

No entry commits to a name, so that a person can be forgotten: a name that was put in place of another is seen by nobody but
those who know it. What can be said is said: every person whom an entry names has a row, unless an erasure took it, and the
row is about what the pseudonym says. Which person an alert named, ``replay`` makes again from the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Connection, select

from countersign.ledger.findings import Problem
from countersign.model.entries import Entry, Kind
from countersign.store import ledger
from countersign.store import tables as t

NAME = "pseudonyms"
_PSEUDONYM = re.compile(r"[a-z_]+~[0-9a-f]{12}")
_ABOUT = ("person.", "role.", "passkey.", "token.", "session.")
"""Kinds whose subject is a person."""
_HUMAN = "human"


def problems(conn: Connection) -> tuple[Problem, ...]:
    """Pseudonyms that lead nowhere, or to something else than they say."""
    rows = {row.pseudonym: row.value for row in conn.execute(select(t.pseudonyms.c.pseudonym, t.pseudonyms.c.value))}
    first, gone = _named(conn)
    missing = [
        Problem(index, f"entry {index} names {name}, which the key table does not know, and no erasure says so")
        for name, index in first.items()
        if name not in rows and name not in gone
    ]
    wrong = [
        Problem(first.get(name), f"the key table says that {name} is a {value.partition(':')[0]}")
        for name, value in sorted(rows.items())
        if name.partition("~")[0] != value.partition(":")[0]
    ]
    return (*missing, *wrong)


def erased(conn: Connection) -> frozenset[str]:
    """Pseudonyms that erasures say are gone."""
    found: set[str] = set()
    for _, entry in ledger.stream_kind(conn, Kind.PERSON_ERASED):
        found.update(map(str, entry.body.get("pseudonyms", ())))
    return frozenset(found)


def _named(conn: Connection) -> tuple[dict[str, int], frozenset[str]]:
    """The first entry that names each pseudonym, and those that were erased."""
    first: dict[str, int] = {}
    for index, entry in ledger.stream(conn):
        for name in _of(entry):
            first.setdefault(name, index)
    return first, erased(conn)


def _of(entry: Entry) -> Iterator[str]:
    """Whom an entry names, where it names somebody by form; what people typed is left alone, whatever it looks like."""
    body = entry.body
    said: list[object] = [body.get("owner"), body.get("holder")]
    if entry.actor.type == _HUMAN:
        said.append(entry.actor.id)
    if entry.kind.startswith(_ABOUT) and entry.kind is not Kind.PERSON_ERASED:  # its subject leads nowhere, on purpose
        said.append(entry.subject)
    if entry.kind is Kind.FINDING_DECIDED:
        said += [link[-1] for link in body.get("links", ())]
    if entry.kind is Kind.PROPOSAL_CREATED:
        said += body.get("targets", ())
    return (one for one in said if isinstance(one, str) and _PSEUDONYM.fullmatch(one))
