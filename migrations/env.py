"""Alembic's environment: one path for SQLite and PostgreSQL.

On SQLite, batch mode rebuilds a table, and with foreign keys on that silently deletes its CASCADE
children: they are off while a migration runs, and checked before they are on again. A failed
migration leaves half-made tables behind there, so the file is copied first and put back.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy.engine import Connection, Engine

import app.models  # noqa: F401  (fills the metadata)
from app.core.db import Base, ExactDecimal, UtcDateTime, db


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our own types with their import, and JSON the way both databases take it."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime | ExactDecimal):
        autogen.imports.add("from app.core import db as types")
        return f"types.{type(item).__name__}()"
    if isinstance(item, type(Base.metadata.tables["changes"].c.diff.type)):
        autogen.imports.add("from app.core import db as types")
        return "types.Json"
    return False


def run(connection: Connection) -> None:
    """Run the migrations on a connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def sqlite_alone(file: Path) -> Iterator[None]:
    """Two upgrades at once: the second waits. Failing between two steps of the first, it would
    put back a copy of the file from before the first began."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(file.name + ".migration-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def sqlite_guarded(engine: Engine, file: Path) -> Iterator[Connection]:
    """A connection without foreign keys, over a file that is put back if the block fails."""
    copy = file.with_name(file.name + ".migrating")
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        try:
            shutil.copy(file, copy)
        except OSError:
            copy.unlink(missing_ok=True)  # half a copy would keep the last room on the disk
            raise
        raw.execute("PRAGMA foreign_keys = OFF")
        try:
            yield connection
            broken = raw.execute("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration breaks foreign keys: {broken[:5]}")
        except BaseException:
            connection.rollback()
            connection.invalidate()
            engine.dispose()
            for leftover in (Path(f"{file}-wal"), Path(f"{file}-shm")):
                leftover.unlink(missing_ok=True)
            copy.replace(file)  # needs no room on the disk, and at no moment is neither there
            raise
        copy.unlink()
        raw.execute("PRAGMA foreign_keys = ON")


def changes_something(engine: Engine) -> bool:
    """Whether there is a step to run: if not, a large file need not be copied at every start."""
    try:
        destination = context.get_revision_argument()
    except KeyError:  # `flask db current` and the like go nowhere
        return False
    with engine.connect() as connection:
        if not connection.dialect.has_table(connection, "alembic_version"):
            return True
        now = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return now != destination


def main() -> None:
    """Migrate the database of DATABASE_URL."""
    engine = db.engine
    if engine.dialect.name == "sqlite":
        file = Path(engine.url.database or "")
        with sqlite_alone(file):
            guard = sqlite_guarded(engine, file) if changes_something(engine) else engine.connect()
            with guard as connection:
                run(connection)
        return
    with engine.connect() as connection:
        # Two nodes that start at once: the second waits for the first.
        connection.exec_driver_sql("SET lock_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_lock(hashtext('switchyard migrations'))")
        connection.commit()
        try:
            run(connection)
        finally:
            connection.rollback()
            connection.exec_driver_sql(
                "SELECT pg_advisory_unlock(hashtext('switchyard migrations'))"
            )
            connection.commit()


if current_app:
    main()
