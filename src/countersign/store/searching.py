"""The queue's search: which cases hold the words of a query."""

from __future__ import annotations

from sqlalchemy import ColumnElement, case, func, or_, select

from countersign.store import tables as t

QUERY_CHARS_MAX = 200


def conditions(query: str) -> list[ColumnElement[bool]]:
    """One per word: it must stand in the title, id, host, technique, product, owner, or in an entity of the case. Characters
    that a database cannot hold in text (NUL, lone surrogates) are left out."""
    text = query[:QUERY_CHARS_MAX].replace("\0", "").encode("utf-8", "ignore").decode()
    return [_holds(word) for word in text.lower().split()]


def _holds(word: str) -> ColumnElement[bool]:
    like = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    c = t.cases.c
    texts = (c.title, c.id, c.host, c.techniques, c.tactics, c.products, c.owner, c.why)
    index = t.entity_index.c
    held = t.cases.alias()
    entities = select(case((held.c.merged_into != "", held.c.merged_into), else_=held.c.id))
    entities = entities.join(t.entity_index, index.case_id == held.c.id)
    entities = entities.where(func.lower(index.key).like(like, escape="\\"))
    return or_(*(func.lower(text).like(like, escape="\\") for text in texts), c.id.in_(entities))
