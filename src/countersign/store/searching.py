"""The queue's search: which cases hold the words of a query."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, or_, select

from countersign.store import tables as t

QUERY_CHARS_MAX = 200


def conditions(query: str) -> list[ColumnElement[bool]]:
    """One per word: it must stand in the id, technique, product, owner or title of the case, or in title, rule, host or an
    entity of one of its findings. Characters that a database cannot hold in text (NUL, lone surrogates) are left out."""
    text = query[:QUERY_CHARS_MAX].replace("\0", "").encode("utf-8", "ignore").decode()
    return [_holds(word) for word in dict.fromkeys(text.lower().split())]


def _holds(word: str) -> ColumnElement[bool]:
    like = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    c, f = t.cases.c, t.findings.c
    texts = (c.title, c.id, c.host, c.techniques, c.tactics, c.products, c.owner, c.why)
    found = (func.lower(f.title), func.lower(f.rule), func.lower(f.host), f.entities)
    within = select(f.case_id).where(or_(*(text.like(like, escape="\\") for text in found)))
    return or_(*(func.lower(text).like(like, escape="\\") for text in texts), c.id.in_(within))
