"""Many rows at once, each database's quick way, inside the session's transaction.

PostgreSQL gets new rows by COPY, and others as one array a column: a statement whose text stays the
same, whatever number of rows it is for. psycopg's own arrays took longer than all the rest.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles

from app.core.db import db

Row = Sequence[Any]


class CrossJoin(sa.Join):
    """Every row of the left with every row of the right.

    SQLite looks at the tables of other joins in an order of its own, and of this one in the order
    in which they stand; to PostgreSQL it is all the same.
    """

    inherit_cache = True

    def __init__(self, left: sa.FromClause, right: sa.FromClause) -> None:
        super().__init__(left, right, sa.true())


@compiles(CrossJoin)
def _compile_cross_join(join: CrossJoin, compiler: Any, **options: Any) -> str:
    options["asfrom"] = True
    left, right = (compiler.process(side, **options) for side in (join.left, join.right))
    return f"{left} CROSS JOIN {right}"


def on_postgresql() -> bool:
    """Which of the two databases it is."""
    return db.session.connection().dialect.name == "postgresql"


def insert_rows(table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert new rows; their values stand in the order of ``columns``, as the driver takes them."""
    connection = db.session.connection()
    if not on_postgresql():
        connection.execute(sa.insert(table), _named(columns, rows))
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def insert_unless_there(
    table: sa.Table, columns: Sequence[str], rows: Sequence[Row], key: str
) -> set[Any]:
    """Insert the rows that clash with none; the keys of those that are new.

    Waits for whoever is just inserting the same. Rows are best sorted: so nobody waits for somebody
    who waits for him.
    """
    if not on_postgresql():
        statement = sqlite.insert(table).on_conflict_do_nothing().returning(table.c[key])
        return set(db.session.execute(statement, _named(columns, rows)).scalars())
    into = postgresql.insert(table).from_select(columns, sa.select(_unnested(table, columns)))
    statement = into.on_conflict_do_nothing().returning(table.c[key])
    return set(db.session.execute(statement, _arrays(columns, rows)).scalars())


def add_up(table: sa.Table, rows: Sequence[Row]) -> None:
    """Add to the rows with the same primary key, or begin them; values as the table has them."""
    if not rows:
        return
    columns = table.c.keys()
    keys = [column.name for column in table.primary_key]
    if not on_postgresql():
        plain = sqlite.insert(table)
        sums = _sums(table, keys, plain.excluded)
        summed = plain.on_conflict_do_update(index_elements=keys, set_=sums)
        connection = db.session.connection()
        # They are all numbers, and SQLAlchemy takes ten times as long to look at each of them.
        text = str(summed.compile(dialect=connection.dialect, column_keys=columns))
        connection.exec_driver_sql(text, [tuple(row) for row in rows])
        return
    into = postgresql.insert(table).from_select(columns, sa.select(_unnested(table, columns)))
    sums = _sums(table, keys, into.excluded)
    statement = into.on_conflict_do_update(index_elements=keys, set_=sums)
    db.session.execute(statement, _arrays(columns, rows))


def find_rows(table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """The rows of the table that have these values, whole."""
    if not rows:
        return []
    wanted = [table.c[name] for name in columns]
    if not on_postgresql():
        query = sa.select(table).where(sa.tuple_(*wanted).in_(rows))
        return list(db.session.execute(query).tuples())
    asked = _unnested(table, columns)
    same = (column == asked.c[column.name] for column in wanted)
    query = sa.select(table).join(asked, sa.and_(*same))
    return list(db.session.execute(query, _arrays(columns, rows)).tuples())


def summed(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """The sum of whole numbers, as one that may not leave 64 bits either.

    PostgreSQL's own sum makes decimals of them, which takes as long as all the rest of a summary.
    """
    if on_postgresql():
        return sa.func.whole_sum(column, type_=sa.BigInteger)
    return sa.func.sum(column, type_=sa.BigInteger)


def _sums(table: sa.Table, keys: Sequence[str], excluded: Any) -> dict[str, Any]:
    return {it.name: it + excluded[it.name] for it in table.c if it.name not in keys}


def _named(columns: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _unnested(table: sa.Table, columns: Sequence[str]) -> Any:
    """The rows, as a table made of arrays."""
    arrays = [
        sa.cast(sa.bindparam(f"{name}_array", type_=sa.Text), postgresql.ARRAY(table.c[name].type))
        for name in columns
    ]
    named = [sa.column(name, table.c[name].type) for name in columns]
    return sa.func.unnest(*arrays).table_valued(*named).render_derived()


def _arrays(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    turned = zip(*rows, strict=True)
    return {f"{name}_array": _array(it) for name, it in zip(columns, turned, strict=True)}


def _array(values: Sequence[Any]) -> str:
    """PostgreSQL's text of an array without nulls."""
    if values and type(values[0]) is int:
        return "{" + ",".join(map(str, values)) + "}"
    return "{" + ",".join(map(_quoted, values)) + "}"


def _quoted(value: Any) -> str:
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    text = value.isoformat() if isinstance(value, datetime) else value
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
