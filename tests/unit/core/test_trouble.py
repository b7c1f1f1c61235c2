"""A database that is full, read-only or gone is called so, and an outage fills no log."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import DataError, OperationalError, StatementError

from app.core import trouble
from app.core.db import db
from tests.support.servers import PostgresServer

ADVICE = "nothing was saved"


def error_of(engine: sa.Engine, limit: str, statement: str) -> Exception:
    """What the statement raises under that limit."""
    with engine.connect() as connection:
        connection.exec_driver_sql(limit)
        with pytest.raises(trouble.AWAY) as raised:
            connection.exec_driver_sql(statement)
    engine.dispose()
    return raised.value


def test_what_sqlite_refuses_a_write_for(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/small.db")
    fill = f"CREATE TABLE t AS SELECT '{'x' * 9000}'"
    full = error_of(engine, "PRAGMA max_page_count = 2", fill)
    assert trouble.unavailable(full, ADVICE).message == (
        "The database is out of disk space; nothing was saved."
    )
    assert trouble.reason_of(full) == "database or disk is full"
    read_only = error_of(engine, "PRAGMA query_only = ON", "CREATE TABLE t (id INTEGER)")
    assert "read-only" in trouble.unavailable(read_only, ADVICE).message


def test_what_postgresql_refuses_a_write_for(postgres: PostgresServer) -> None:
    """After a failover to a standby, say."""
    error = error_of(
        sa.create_engine(postgres.url()), "SET TRANSACTION READ ONLY", "CREATE TABLE t (id INTEGER)"
    )
    assert "read-only" in trouble.unavailable(error, ADVICE).message


def test_whatever_else_is_busy_or_away() -> None:
    error = OperationalError("SELECT secret", {}, sqlite3.OperationalError("database is locked"))
    refusal = trouble.unavailable(error, ADVICE)
    assert refusal.message == "The database is busy or away; nothing was saved."
    assert trouble.reason_of(error) == "database is locked"


def test_a_value_is_not_quoted() -> None:
    error = DataError("INSERT", {}, sqlite3.DataError('not a number: "canary"'))
    assert trouble.reason_of(error) == "DataError"
    error = StatementError("not a number", "INSERT", {}, ValueError('not a number: "canary"'))
    assert trouble.reason_of(error) == "ValueError"


def test_the_same_reason_is_said_once_a_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trouble, "_outage", trouble._Outage())
    now = 100.0
    monkeypatch.setattr(trouble, "time", SimpleNamespace(monotonic=lambda: now))

    def refuse(text: str) -> None:
        trouble.unavailable(OperationalError("SELECT", {}, Exception(text)), ADVICE)

    for _ in range(50):
        refuse("refused\n\tIs the server running?")
    refuse("too many clients")
    now += 1.1
    refuse("too many clients")
    said = [record.getMessage() for record in caplog.records if record.name == trouble.log.name]
    assert said == [
        "database: refused",
        "database: too many clients",
        "database: too many clients",
    ]


def test_readyz_sees_a_full_disk_before_anybody_writes(
    app: Flask, http: FlaskClient, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http.get("/readyz").json["database"] == "ok"
    monkeypatch.setattr(trouble, "LEAST_ROOM", 2**80)
    found = http.get("/readyz").json["database"]
    # PostgreSQL's disk is not this machine's.
    assert found == ("out of disk space" if backend == "sqlite" else "ok")


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (Path.unlink, trouble.GONE),
        (lambda file: file.chmod(0o444), trouble.READ_ONLY),
    ],
)
def test_readyz_sees_a_file_that_cannot_be_written(
    app: Flask,
    http: FlaskClient,
    happens: Callable[[Path], None],
    state: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert http.get("/readyz").json["database"] == "ok"
    with app.app_context():
        happens(Path(db.engine.url.database or ""))
    # Root may write whatever the permissions say.
    may_write = SimpleNamespace(**vars(os))
    may_write.access = lambda file, _mode: Path(file).stat().st_mode & 0o200
    monkeypatch.setattr(trouble, "os", may_write)
    assert http.get("/readyz").json["database"] == state
