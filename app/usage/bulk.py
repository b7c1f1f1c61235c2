"""Many rows at once, each database's quick way, inside the session's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql, sqlite

from app.core.db import db

Row = Sequence[Any]


def on_postgresql() -> bool:
    """Which of the two databases it is."""
    return db.session.connection().dialect.name == "postgresql"


def insert_rows(table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert new rows; their values stand in the order of ``columns``."""
    connection = db.session.connection()
    if not on_postgresql():
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        connection.execute(sa.insert(table), named)
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in _bound(table, columns, rows, connection.dialect):
            copy.write_row(row)


def insert_unless_there(
    table: sa.Table, columns: Sequence[str], rows: Sequence[Row], key: str
) -> set[Any]:
    """Insert the rows whose key is new; the keys of those that were.

    Waits for whoever is just inserting the same key. Rows are best sorted by it: so nobody waits
    for somebody who waits for him.
    """
    if not on_postgresql():
        statement = sqlite.insert(table).on_conflict_do_nothing().returning(table.c[key])
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        return set(db.session.execute(statement, named).scalars())
    into = postgresql.insert(table).from_select(columns, _unnested(table, columns))
    statement = into.on_conflict_do_nothing().returning(table.c[key])
    return set(db.session.execute(statement, _arrays(columns, rows)).scalars())


def add_up(table: sa.Table, rows: Sequence[Row]) -> None:
    """Add to the rows with the same primary key, or begin them; values as the table has them."""
    columns = table.c.keys()
    keys = [column.name for column in table.primary_key]
    if not on_postgresql():
        plain = sqlite.insert(table)
        summed = plain.on_conflict_do_update(
            index_elements=keys, set_=_sums(table, keys, plain.excluded)
        )
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        db.session.connection().execute(summed, named)
        return
    into = postgresql.insert(table).from_select(columns, _unnested(table, columns))
    statement = into.on_conflict_do_update(
        index_elements=keys, set_=_sums(table, keys, into.excluded)
    )
    db.session.execute(statement, _arrays(columns, rows))


def _sums(table: sa.Table, keys: Sequence[str], excluded: Any) -> dict[str, Any]:
    return {it.name: it + excluded[it.name] for it in table.c if it.name not in keys}


def _unnested(table: sa.Table, columns: Sequence[str]) -> sa.Select[Any]:
    """The rows as columns of arrays: a statement of the same text for any number of them."""
    arrays = [
        sa.bindparam(f"{name}_array", type_=postgresql.ARRAY(table.c[name].type))
        for name in columns
    ]
    return sa.select(sa.func.unnest(*arrays).table_valued(*columns).render_derived())


def _arrays(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Any]]:
    turned = zip(*rows, strict=True)
    return {f"{name}_array": list(it) for name, it in zip(columns, turned, strict=True)}


def _bound(
    table: sa.Table, columns: Sequence[str], rows: Sequence[Row], dialect: sa.Dialect
) -> Iterable[list[Any]]:
    """The rows as the driver takes them."""
    processors = [
        table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in columns
    ]
    for row in rows:
        yield [
            value if process is None else process(value)
            for process, value in zip(processors, row, strict=True)
        ]
