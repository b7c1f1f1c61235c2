"""Shared fixtures: an app on both databases, migrated and set up, with real Redis behind it.

Migrating and hashing a password cost a second; they are done once a session into a template, and
every test gets a copy of it.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from werkzeug.test import TestResponse

from tests.support.recycling import RecycledDatabases
from tests.support.servers import (
    SECRETS,
    PostgresServer,
    RedisServer,
    postgres_server,
    redis_server,
)
from tests.support.speed import collect_less, keep_files_in_memory, remember_url_builders

ADMIN_EMAIL = "admin@example.com"
ADMIN_PASSWORD = "correct horse battery"
ADMIN_TOKEN = "test-admin-token-0123456789-0123456789"
BACKENDS = ("sqlite", "postgresql")
# Hard work by design, 0.2 s for every password that is stored or tried; servers of their own
# (tests/support/servers.py) do it in full.
CHEAP_HASHES = {
    "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
        "argon2__rounds": 1,
        "argon2__memory_cost": 64,
        "argon2__parallelism": 1,
    }
}

# Set before `app` is imported anywhere: celeryconfig reads the environment.
os.environ.update(SECRETS)
os.environ.update(
    ADMIN_EMAIL=ADMIN_EMAIL,
    ADMIN_PASSWORD=ADMIN_PASSWORD,
    ADMIN_TOKEN=ADMIN_TOKEN,
    RATE_LIMIT_LOGIN="1000 per minute",
    RATE_LIMIT_API="100000 per minute",
)
for name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[name]  # a developer's own key must not decide a test


# The same examples on every machine, so that a red run is red again; by hand, look for others with
# --hypothesis-profile=default.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")

keep_files_in_memory()
remember_url_builders()


def pytest_collection_finish() -> None:
    """Everything that the tests import is loaded."""
    collect_less()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """One real Redis for the session, on a Unix socket."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One real PostgreSQL for the session."""
    # Its databases are too short-lived to be worth a vacuum, or a log that brings them back.
    tuning = ("autovacuum = off", "full_page_writes = off", "wal_level = minimal")
    limits = ("max_wal_senders = 0", "max_wal_size = 256MB")
    with postgres_server(*tuning, *limits) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.core.db.IDLE_SECONDS", 300)  # a busy machine freezes whom it likes
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Path:
    """A SQLite file with everything that `flask setup` makes."""
    file = tmp_path_factory.mktemp("template") / "switchyard.db"
    _set_up(f"sqlite:///{file}", redis.url)
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer, redis: RedisServer) -> str:
    """A PostgreSQL database with everything that `flask setup` makes."""
    name = postgres.create_database()
    _set_up(postgres.url(name), redis.url)
    return name


@pytest.fixture(scope="session")
def postgres_databases(postgres: PostgresServer, postgres_template: str) -> RecycledDatabases:
    """Copies of the template: ``lease()`` one, and ``give_back()`` it."""
    return RecycledDatabases(postgres, postgres_template)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on: every one on both."""
    backend: str = request.param
    return backend


@pytest.fixture
def database_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, migrated and set up."""
    if backend == "sqlite":
        file = tmp_path / "switchyard.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    databases: RecycledDatabases = request.getfixturevalue("postgres_databases")
    name = databases.lease()
    yield request.getfixturevalue("postgres").url(name)
    databases.give_back(name)


@pytest.fixture
def app(database_url: str, redis: RedisServer) -> Iterator[Flask]:
    """The app on the test's own database."""
    app = make_app(database_url, redis.url)
    yield app
    close_app(app)


@pytest.fixture
def nudges(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What would be sent to the workers."""
    sent: list[tuple[str, Any]] = []
    publisher = app.extensions["publisher"]
    monkeypatch.setattr(publisher, "nudge", lambda job, argument: sent.append((job, argument)))
    return sent


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    """An HTTP client without credentials."""
    return app.test_client()


Api = Callable[..., TestResponse]


@pytest.fixture
def api(http: FlaskClient) -> Api:
    """``api("POST", "/agents", {...})`` as an admin; ``token=`` and ``headers=`` override."""

    def call(
        method: str, path: str, body: Any = None, *, token: str = ADMIN_TOKEN, **options: Any
    ) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return http.open(f"/api{path}", method=method, headers=headers, **options)

    return call


def make_app(database_url: str, redis_url: str, **settings: Any) -> Flask:
    """An app on a database and a Redis; close it with ``close_app``."""
    from app import create_app

    own = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **CHEAP_HASHES, **settings}
    return create_app(own)


def close_app(app: Flask) -> None:
    """End the app's threads and give its connections back."""
    from app.core.db import db

    app.extensions["publisher"].stop()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def _set_up(database_url: str, redis_url: str) -> None:
    app = make_app(database_url, redis_url)
    result = app.test_cli_runner().invoke(args=["setup", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["admin_email"] == ADMIN_EMAIL
    close_app(app)
    collect_less()  # the first app has loaded the rest
