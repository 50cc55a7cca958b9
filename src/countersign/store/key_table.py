"""Does the key table (``pseudonyms``) still say whom the ledger means?

No entry commits to a name, so that a person can be forgotten: a name that was put in place of another is seen by nobody but
those who know it. What can be said is said: every person whom an entry names has a row, unless an erasure took it, and the
row is about what the pseudonym says. Which person an alert named, ``replay`` makes again from the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

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


class KeyTable:
    """Whom entries name: one pass over the ledger, in order."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._gone: set[str] = set()

    def take(self, numbered: Sequence[tuple[int, Entry]]) -> None:
        """Look at entries."""
        for index, entry in numbered:
            for name in _of(entry):
                self._first.setdefault(name, index)
            self._gone.update(_erased(entry))

    def problems(self, conn: Connection) -> tuple[Problem, ...]:
        """Pseudonyms that lead nowhere, or to something else than they say."""
        rows = {row.pseudonym: row.value for row in conn.execute(select(t.pseudonyms.c.pseudonym, t.pseudonyms.c.value))}
        missing = [
            Problem(index, f"entry {index} names {name}, which the key table does not know, and no erasure says so")
            for name, index in self._first.items()
            if name not in rows and name not in self._gone
        ]
        wrong = [
            Problem(self._first.get(name), f"the key table says that {name} is a {value.partition(':')[0]}")
            for name, value in sorted(rows.items())
            if name.partition("~")[0] != value.partition(":")[0]
        ]
        return (*missing, *wrong)


def erased(conn: Connection) -> frozenset[str]:
    """Pseudonyms that erasures say are gone."""
    every = ledger.stream_kind(conn, Kind.PERSON_ERASED)
    return frozenset(name for _, entry in every for name in _erased(entry))


def _erased(entry: Entry) -> Iterator[str]:
    return map(str, entry.body.get("pseudonyms", ())) if entry.kind is Kind.PERSON_ERASED else iter(())


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
