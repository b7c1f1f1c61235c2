"""PostgreSQL databases that are used again: a new one costs 0.2 s of CPU, a restored one 0.01 s.

A database goes from test to test only if nothing can tell it from a copy of the template: nobody is
connected, it has a name that nobody has seen, its schema is the template's, its rows and sequences
are put back. Whatever is in doubt is dropped instead.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.support.servers import PostgresServer

MOST_BYTES = 8 * 1024 * 1024
"""Deleted rows stay in the files: what has grown beyond this is slower than a new one."""

_OURS = "SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'"
# A copy has the template's oids, so that whatever is made, replaced or dropped shows.
_SCHEMA = f"""
    SELECT md5(concat(
        (SELECT string_agg(concat_ws(':', oid, relname, relkind), ',' ORDER BY oid)
           FROM pg_class WHERE relnamespace IN ({_OURS})),
        (SELECT string_agg(concat_ws(':', attrelid, attnum, attname, atttypid, atttypmod,
                                     attnotnull, atthasdef), ',' ORDER BY attrelid, attnum)
           FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
          WHERE relnamespace IN ({_OURS})),
        (SELECT string_agg(concat_ws(':', oid, conname), ',' ORDER BY oid) FROM pg_constraint),
        (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_attrdef),
        (SELECT string_agg(concat_ws(':', indexrelid, indisvalid), ',' ORDER BY indexrelid)
           FROM pg_index),
        (SELECT string_agg(concat_ws(':', oid, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
        (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_proc WHERE oid >= 16384),
        (SELECT string_agg(concat_ws(':', oid, nspname), ',' ORDER BY oid) FROM pg_namespace
          WHERE nspname !~ '^pg_(temp|toast_temp)_'),
        (SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension),
        (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting JOIN pg_database
             ON pg_database.oid = setdatabase WHERE datname = current_database())
    ))"""
_TABLES = f"""
    SELECT oid::regclass::text, pg_relation_size(oid) FROM pg_class
     WHERE relkind = 'r' AND relnamespace IN ({_OURS}) ORDER BY oid"""
_SEQUENCES = f"""
    SELECT oid::regclass::text FROM pg_class
     WHERE relkind = 'S' AND relnamespace IN ({_OURS}) ORDER BY oid"""


@dataclass(frozen=True)
class Contents:
    """What a database has to look like before anybody gets it. Names are quoted already."""

    schema: str
    rows: dict[str, bytes]
    sequences: dict[str, tuple[int, bool]]


class RecycledDatabases:
    """Copies of one template, leased one by one; for one process."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server, self._template = server, template
        self.free: list[str] = []
        with server.connect(template) as connection:
            self._contents = contents_of(connection)

    def lease(self) -> str:
        """The name of a database like the template, nobody else's."""
        return self.free.pop() if self.free else self._server.create_database(self._template)

    def give_back(self, name: str) -> None:
        """End what is still connected to it, and restore it, or drop it where that cannot be."""
        fresh = self._server.new_name()
        if self._rename(name, fresh) and self._restore(fresh):
            self.free.append(fresh)
        else:
            self._server.drop_database(name)
            self._server.drop_database(fresh)

    def _rename(self, name: str, fresh: str) -> bool:
        """Whoever was left behind and comes back finds nothing under the old name."""
        try:
            with self._server.connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = %s",
                    [name],
                )
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(name), sql.Identifier(fresh)
                    )
                )
        except (psycopg.errors.InvalidCatalogName, psycopg.errors.ObjectInUse):
            return False
        return True

    def _restore(self, name: str) -> bool:
        """Put rows and sequences back; answers whether that made it like the template."""
        with self._server.connect(name) as connection, connection.transaction():
            sizes = dict(connection.execute(_TABLES).fetchall())
            same = schema_of(connection) == self._contents.schema
            if not same or sum(sizes.values()) > MOST_BYTES:
                return False
            # Neither triggers nor foreign keys: what goes in was once checked.
            connection.execute("SET LOCAL session_replication_role = replica")
            used = [table for table, size in sizes.items() if size]
            connection.execute("; ".join(f"DELETE FROM {table}" for table in used).encode())
            for table, rows in self._contents.rows.items():
                with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    copy.write(rows)
            connection.execute(_restoring(self._contents.sequences).encode())
        return True


def schema_of(connection: psycopg.Connection) -> str:
    """A digest of everything that DDL changes."""
    row = connection.execute(_SCHEMA).fetchone()
    assert row is not None
    return str(row[0])


def contents_of(connection: psycopg.Connection) -> Contents:
    """All of a database that a test could change."""
    rows = {}
    for table, _ in connection.execute(_TABLES).fetchall():
        with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
            if content := b"".join(copy):
                rows[table] = content
    sequences = {}
    for (name,) in connection.execute(_SEQUENCES).fetchall():
        at = connection.execute(f"SELECT last_value, is_called FROM {name}".encode()).fetchone()
        assert at is not None
        sequences[name] = (at[0], at[1])
    return Contents(schema_of(connection), rows, sequences)


def _restoring(sequences: dict[str, tuple[int, bool]]) -> str:
    calls = [f"setval('{name}', {at}, {called})" for name, (at, called) in sequences.items()]
    return f"SELECT {', '.join(calls)}"
