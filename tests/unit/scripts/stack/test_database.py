"""A failed migration leaves the SQLite file as it was."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.stack import database as stack_database
from scripts.stack.database import migration_pending, restored_on_failure, sqlite_file
from scripts.stack.errors import StartError


class MigrationError(Exception):
    """Stands for whatever goes wrong in the middle."""


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Two migrations: aaa, then bbb."""
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "1.py").write_text('revision = "aaa"\ndown_revision = None\n')
    (folder / "2.py").write_text('revision: str = "bbb"\ndown_revision: str | None = "aaa"\n')
    return folder


def _database(path: Path, revision: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        connection.commit()
    return path


def _tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def _fail_half_way(database: Path, versions: Path) -> None:
    with restored_on_failure(database, versions):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE half_done (id INTEGER)")
            connection.commit()
        raise MigrationError


@pytest.mark.parametrize(("revision", "pending"), [("aaa", True), ("bbb", False)])
def test_pending_is_what_some_migration_builds_on(
    tmp_path: Path, versions: Path, revision: str, pending: bool
) -> None:
    assert migration_pending(_database(tmp_path / "db", revision), versions) is pending


def test_failed_migration_is_undone(tmp_path: Path, versions: Path) -> None:
    database = _database(tmp_path / "db", "aaa")
    with pytest.raises(MigrationError):
        _fail_half_way(database, versions)
    assert _tables(database) == {"alembic_version"}


def test_failed_first_migration_leaves_no_file(tmp_path: Path, versions: Path) -> None:
    with pytest.raises(MigrationError):
        _fail_half_way(tmp_path / "new", versions)
    assert not (tmp_path / "new").exists()


def test_copy_is_private_and_stays_after_success(tmp_path: Path, versions: Path) -> None:
    database = _database(tmp_path / "db", "aaa")
    with restored_on_failure(database, versions):
        pass
    copy = tmp_path / "db.before-migration"
    assert _tables(copy) == {"alembic_version"}
    assert copy.stat().st_mode & 0o077 == 0


def test_no_room_for_a_copy_is_said_and_changes_nothing(
    tmp_path: Path, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(sqlite3.Connection):
        def backup(self, *_args: object, **_options: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    connect = partial(sqlite3.connect, factory=FullDisk)
    monkeypatch.setattr(stack_database, "sqlite3", SimpleNamespace(**vars(sqlite3)))
    monkeypatch.setattr(stack_database.sqlite3, "connect", connect)
    database = _database(tmp_path / "db", "aaa")
    before = database.read_bytes()
    with pytest.raises(StartError, match="disk is full"):
        _fail_half_way(database, versions)
    assert database.read_bytes() == before


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path, versions: Path) -> None:
    (tmp_path / "db").write_text("a letter to somebody" * 100)
    with pytest.raises(StartError, match="not a database"):
        migration_pending(tmp_path / "db", versions)


def test_nothing_is_copied_or_undone_without_a_migration(tmp_path: Path, versions: Path) -> None:
    database = _database(tmp_path / "db", "bbb")
    with pytest.raises(MigrationError):
        _fail_half_way(database, versions)
    assert "half_done" in _tables(database)
    assert not (tmp_path / "db.before-migration").exists()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////data/switchyard.db", Path("/data/switchyard.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql+psycopg://host/name", None),
    ],
)
def test_only_a_sqlite_url_has_a_file(url: str, path: Path | None) -> None:
    assert sqlite_file(url) == path
