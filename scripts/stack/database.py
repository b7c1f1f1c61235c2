"""A copy of the SQLite file before a migration: a failed one leaves tables behind."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from scripts.stack.errors import StartError

_DOWN_REVISION = re.compile(r"""^down_revision\b[^=]*=\s*["'](\w+)["']""", re.MULTILINE)


def sqlite_file(database_url: str) -> Path | None:
    """The file behind a SQLite URL; None for a server or a database in memory."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", database_url)
    return None if match is None or match[1] == ":memory:" else Path(match[1])


@contextmanager
def restored_on_failure(database: Path | None, versions: Path) -> Iterator[None]:
    """Run a migration inside; if it raises, the file is as it was before.

    The copy stays beside the database until the next migration, for the operator's peace of mind.
    """
    if database is None or not migration_pending(database, versions):
        yield
        return
    copy = _copy_of(database) if database.exists() else None
    try:
        yield
    except BaseException:
        _put_back(copy, database)
        raise


def migration_pending(database: Path, versions: Path) -> bool:
    """Whether the file is new, or some migration builds on the revision that it is at."""
    current = _current_revision(database)
    parents = {
        parent
        for script in versions.glob("*.py")
        for parent in _DOWN_REVISION.findall(script.read_text())
    }
    return current is None or current in parents


def _current_revision(database: Path) -> str | None:
    if not database.exists():
        return None
    with closing(sqlite3.connect(database)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None  # no such table: nothing was ever migrated
        except sqlite3.DatabaseError as error:
            raise StartError(
                f"DATABASE_URL: {database} cannot be read ({error}). Restore it from your backup."
            ) from None
    return row[0] if row else None


def _copy_of(database: Path) -> Path:
    copy = database.with_name(database.name + ".before-migration")
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600)
    # SQLite's own backup sees what is still in the write-ahead log; a plain copy does not.
    try:
        with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(copy)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise StartError(
            f"DATA_DIR: the database cannot be copied to {copy} before it is migrated ({error}). "
            "Nothing was changed; a migration needs twice its size."
        ) from None
    return copy


def _put_back(copy: Path | None, database: Path) -> None:
    # The write-ahead log belongs to the file that goes.
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    if copy is None:
        database.unlink(missing_ok=True)
    else:
        copy.replace(database)  # needs no room on the disk, and at no moment is neither there
