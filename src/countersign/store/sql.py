"""The few statements that SQLite and PostgreSQL spell differently."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, Text, any_, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

IN_MAX = 500
"""Most values in one IN list: well under every driver's limit on parameters."""
_T = TypeVar("_T")
_Row = TypeVar("_Row", bound=tuple[Any, ...])
_json = msgspec.json.Encoder().encode


def upsert(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows whole; rows whose primary key exists are replaced."""
    if rows:
        conn.execute(_upsert(conn.dialect.name, table), list(rows))


def insert_new(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those whose primary key exists are left as they are."""
    if rows:
        conn.execute(_insert_new(conn.dialect.name, table), list(rows))


def _insert(dialect: str, table: Table) -> Any:  # noqa: ANN401 - the two dialects share no type with both conflict clauses
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache(maxsize=64)
def _upsert(dialect: str, table: Table) -> Insert:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    values = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    result: Insert = statement.on_conflict_do_update(index_elements=keys, set_=values)
    return result


@lru_cache(maxsize=64)
def _insert_new(dialect: str, table: Table) -> Insert:
    keys = [column.name for column in table.primary_key]
    result: Insert = _insert(dialect, table).on_conflict_do_nothing(index_elements=keys)
    return result


def among(conn: Connection, statement: Select[_Row], column: ColumnElement[Any], values: Collection[str]) -> Select[_Row]:
    """The statement narrowed to rows whose text column is one of the values, handed over as a single parameter.

    An IN list of hundreds of parameters costs more in the driver than in the database.
    """
    if conn.dialect.name == "postgresql":
        return statement.where(column == any_(literal(list(values), postgresql.ARRAY(Text))))
    listed = func.json_each(literal(_json(list(values)).decode(), Text)).table_valued("value")
    return statement.where(column.in_(select(listed.c.value)))


def chunks(values: Iterable[_T], size: int = IN_MAX) -> Iterable[list[_T]]:
    """Lists of at most ``size`` values."""
    chunk: list[_T] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
