"""The few statements that SQLite and PostgreSQL spell differently."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Generic, TypeVar, TypeVarTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, Text, any_, bindparam, func, select
from sqlalchemy.dialects import postgresql

IN_MAX = 500
"""Most values in one IN list: well under every driver's limit on parameters."""
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_VALUES = "among_values"
_POSTGRES = postgresql.dialect()  # type: ignore[no-untyped-call]
_json = msgspec.json.Encoder().encode


def upsert(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows whole; rows whose primary key exists are replaced."""
    upsert_rows(conn, table, _in_order(table, rows))


def insert_new(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those whose primary key exists are left as they are."""
    insert_new_rows(conn, table, _in_order(table, rows))


def upsert_rows(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """``upsert`` of rows whose values stand in the order of the table's columns."""
    _many(conn, table, "upsert", rows)


def insert_new_rows(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> int:
    """``insert_new`` of rows whose values stand in the order of the table's columns; returns how many were new."""
    return _many(conn, table, "new", rows)


def insert_rows(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values stand in the order of the table's columns; an existing primary key is an error."""
    _many(conn, table, "plain", rows)


def _in_order(table: Table, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = tuple(table.columns.keys())
    if len(names) == 1:
        return [(row[names[0]],) for row in rows]
    return list(map(itemgetter(*names), rows))


def _many(conn: Connection, table: Table, kind: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run one statement for all rows and return how many it wrote. Goes past the per-row work that SQLAlchemy does to bind
    parameters: these tables hold only integers, text and bytes, which both drivers take as they are. PostgreSQL is handed
    whole columns, as one statement of arrays costs it a fraction of a statement per row."""
    if not rows:
        return 0
    text = _insert_text(conn.dialect.name, table, kind)
    if conn.dialect.name == "postgresql":
        return conn.exec_driver_sql(text, tuple(map(list, zip(*rows, strict=True)))).rowcount
    return conn.exec_driver_sql(text, list(rows)).rowcount


@cache
def _insert_text(dialect: str, table: Table, kind: str) -> str:
    """The insert as the driver takes it."""
    names = [f'"{column.name}"' for column in table.columns]
    keys = [f'"{column.name}"' for column in table.primary_key]
    if dialect == "postgresql":
        arrays = ", ".join(f"%b::{column.type.compile(_POSTGRES)}[]" for column in table.columns)
        values = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - types of our own columns
    else:
        values = f"VALUES ({', '.join('?' * len(names))})"
    replaced = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    action = {
        "upsert": f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {replaced}",
        "new": f" ON CONFLICT ({', '.join(keys)}) DO NOTHING",
        "plain": "",
    }[kind]
    return f'INSERT INTO "{table.name}" ({", ".join(names)}) {values}{action}'


def among(conn: Connection, statement: Select[*_Ts], column: ColumnElement[Any], values: Collection[str]) -> Select[*_Ts]:
    """The statement narrowed to rows whose text column is one of the values, handed over as a single parameter.

    An IN list of hundreds of parameters costs more in the driver than in the database.
    """
    return _narrowed(statement, column, conn.dialect.name).params({_VALUES: _handed(conn.dialect.name, values)})


class Among(Generic[*_Ts]):
    """``among`` for the hot path: a statement that is made once, as making it anew costs more than running it."""

    def __init__(self, statement: Select[*_Ts], column: ColumnElement[Any]) -> None:
        self._statement = statement
        self._column = column
        self._made: dict[str, Select[*_Ts]] = {}

    def rows(self, conn: Connection, values: Collection[str], **params: int) -> Sequence[Row[*_Ts]]:
        """All rows with one of the values. params: what else the statement leaves open (``bindparam``)."""
        dialect = conn.dialect.name
        made = self._made.get(dialect)
        if made is None:
            made = self._made[dialect] = _narrowed(self._statement, self._column, dialect)
        return conn.execute(made, {_VALUES: _handed(dialect, values), **params}).all()


def _narrowed(statement: Select[*_Ts], column: ColumnElement[Any], dialect: str) -> Select[*_Ts]:
    if dialect == "postgresql":
        return statement.where(column == any_(bindparam(_VALUES, type_=postgresql.ARRAY(Text))))
    listed = func.json_each(bindparam(_VALUES, type_=Text)).table_valued("value")
    return statement.where(column.in_(select(listed.c.value)))


def _handed(dialect: str, values: Collection[str]) -> list[str] | str:
    return list(values) if dialect == "postgresql" else _json(list(values)).decode()


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
