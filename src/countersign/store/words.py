"""What people type, as the ledger may hold it: names of people whom the site knows are put as their pseudonyms, and so is
every mail address. On screens the names are put back, as long as the key table knows them.

A ledger entry is for ever, so a name in a reason could never be erased. What nobody told the site is a name stays a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from countersign.model.entities import EntityType
from countersign.store import ledger
from countersign.store import tables as t
from countersign.store.sql import among

_PSEUDONYM = re.compile(r"\b[a-z]+~[0-9a-f]{12}\b")
_WORD = re.compile(r"[^\s,;:!?()<>\"'`\[\]{}=|&]+")
_PART = re.compile(r"[^\\/@]+")
_MAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_CUT = re.compile(r"[._-]")
_CUTS_MAX = 12
_KINDS = (EntityType.USER.value, EntityType.MAIL.value)
_NOBODY = frozenset({"http", "-", "command", "console", "groups"})
"""Texts of the product's own, not worth a question."""
_PERSON = "person:"


def hidden(conn: Connection, text: str) -> str:
    """The text with pseudonyms in place of people's names."""
    return all_hidden(conn, [text])[0]


def all_hidden(conn: Connection, texts: Sequence[str]) -> list[str]:
    """The same of several, asked for at once."""
    whole = "\n".join(texts)
    if not whole.strip() or all(text in _NOBODY for text in texts):
        return list(texts)
    given = ledger.pseudonyms(conn, {f"mail:{mail.lower()}" for mail in _MAIL.findall(whole)})
    given |= _known(conn, whole)
    names = {value.partition(":")[2].casefold(): pseudonym for value, pseudonym in sorted(given.items())}
    if not names:
        return list(texts)
    spelt = "|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name))))
    found = re.compile(rf"(?<![^\W_])(?<!~)(?:{spelt})(?![^\W_])", re.IGNORECASE)
    return [found.sub(lambda m: names.get(m[0].casefold(), m[0]), text) for text in texts]


def _known(conn: Connection, text: str) -> dict[str, str]:
    """Pseudonyms of the people in a text whom the site knows: logins and addresses word by word, operators anywhere."""
    words = {word.rstrip(".").lower() for word in _WORD.findall(text)}
    words |= {part for word in words for part in _PART.findall(word)}
    words |= {run for word in words for run in _runs(word)}
    p, i = t.pseudonyms.c, t.inventory.c
    found = among(conn, select(i.name).where(i.kind == "identity"), i.name, words)
    ledger.pseudonyms(conn, [f"{EntityType.USER.value}:{name}" for name in conn.execute(found).scalars()])
    keys = [f"{kind}:{word}" for kind in _KINDS for word in sorted(words)]
    rows = list(conn.execute(among(conn, select(p.value, p.pseudonym), p.value, keys)).all())
    # SQLite's LIKE folds case and so reads every row; GLOB finds operators by the key
    operators = p.value.op("GLOB")(f"{_PERSON}*") if conn.dialect.name == "sqlite" else p.value.startswith(_PERSON)
    rows += conn.execute(select(p.value, p.pseudonym).where(operators)).all()
    return {row.value: row.pseudonym for row in rows}


def _runs(word: str) -> Iterator[str]:
    """Parts of a word between dots, dashes and underscores, as a login may stand in a file's name."""
    cuts = [match.span() for match in _CUT.finditer(word)][:_CUTS_MAX]
    starts, ends = [0, *(high for _, high in cuts)], [*(low for low, _ in cuts), len(word)]
    return (word[low:high] for low in starts for high in ends if low < high)


def clear(conn: Connection, *texts: str) -> tuple[str, ...]:
    """The texts with names put back for pseudonyms that the key table knows."""
    wanted = {found for text in texts for found in _PSEUDONYM.findall(text)}
    if not wanted:
        return texts
    p = t.pseudonyms.c
    rows = conn.execute(among(conn, select(p.pseudonym, p.value), p.pseudonym, wanted)).all()
    names = {row.pseudonym: row.value.partition(":")[2] for row in rows}
    return tuple(_PSEUDONYM.sub(lambda m: names.get(m[0], m[0]), text) for text in texts)
