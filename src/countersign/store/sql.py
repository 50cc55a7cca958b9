"""The few statements that SQLite and PostgreSQL spell differently."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Dialect, Insert, Select, Table, Text, any_, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

IN_MAX = 500
"""Most values in one IN list: well under every driver's limit on parameters."""
_T = TypeVar("_T")
_Row = TypeVar("_Row", bound=tuple[Any, ...])
_json = msgspec.json.Encoder().encode


def upsert(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows whole; rows whose primary key exists are replaced."""
    _many(conn, _compiled(conn.dialect, table, "upsert"), rows)


def insert_new(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those whose primary key exists are left as they are."""
    _many(conn, _compiled(conn.dialect, table, "new"), rows)


def insert_all(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; an existing primary key is an error."""
    _many(conn, _compiled(conn.dialect, table, "plain"), rows)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement as the driver takes it. names: columns in the order of its places, () when places have names."""

    text: str
    names: tuple[str, ...]


def _many(conn: Connection, prepared: _Prepared, rows: Sequence[dict[str, Any]]) -> None:
    """Run the statement for every row, past the per-row work that SQLAlchemy does to bind parameters: these tables hold
    only integers, text and bytes, which both drivers take as they are."""
    if not rows:
        return
    parameters: list[Any] = list(rows)
    if len(prepared.names) == 1:
        parameters = [(row[prepared.names[0]],) for row in rows]
    elif prepared.names:
        parameters = list(map(itemgetter(*prepared.names), rows))
    conn.exec_driver_sql(prepared.text, parameters)


_statements: dict[tuple[str, str, str], _Prepared] = {}


def _compiled(dialect: Dialect, table: Table, kind: str) -> _Prepared:
    key = (dialect.name, table.name, kind)
    if key not in _statements:
        compiled = _statement(dialect.name, table, kind).compile(dialect=dialect)
        _statements[key] = _Prepared(str(compiled), tuple(map(str, compiled.positiontup or ())))
    return _statements[key]


def _statement(dialect: str, table: Table, kind: str) -> Insert:
    made: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    others = [c.name for c in table.columns if c.name not in keys]
    if kind == "upsert" and others:
        made = made.on_conflict_do_update(index_elements=keys, set_={name: made.excluded[name] for name in others})
    elif kind != "plain":
        made = made.on_conflict_do_nothing(index_elements=keys)
    result: Insert = made
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
