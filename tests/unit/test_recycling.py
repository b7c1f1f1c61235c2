"""A database that is used again cannot be told from a new one, or is not used again."""

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from app.agents import services as agents
from app.core.db import db
from app.providers import services as providers
from tests.conftest import close_app, make_app
from tests.support.recycling import RecycledDatabases, contents_of, schema_of
from tests.support.servers import PostgresServer, RedisServer

DDL: tuple[LiteralString, ...] = (
    "CREATE TABLE more (id int)",
    "CREATE INDEX more ON agents (created_at)",
    "CREATE SCHEMA more",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE usage_months.more PARTITION OF usage_events"
    " FOR VALUES FROM ('2099-01-01') TO ('2099-02-01')",
    "ALTER TABLE agents RENAME TO more",
    "ALTER TABLE agents ADD CHECK (id > 0)",
    "ALTER TABLE agents ALTER COLUMN name DROP NOT NULL",
    "ALTER TABLE agents ALTER COLUMN name SET DEFAULT 'more'",
    "ALTER TABLE agents DISABLE TRIGGER ALL",
    "DROP TABLE budgets CASCADE",
)


@pytest.fixture
def databases(postgres: PostgresServer, postgres_template: str) -> Iterator[RecycledDatabases]:
    """A pool of the test's own."""
    pool = RecycledDatabases(postgres, postgres_template)
    yield pool
    for name in pool.free:
        postgres.drop_database(name)


def test_what_a_test_wrote_is_taken_back(
    databases: RecycledDatabases,
    postgres: PostgresServer,
    redis: RedisServer,
    postgres_template: str,
) -> None:
    name = databases.lease()
    app = make_app(postgres.url(name), redis.url)
    with app.app_context():
        made = {"name": "a", "type": "openai", "base_url": "https://api.example.com/v1"}
        providers.create_provider(made)
        agents.create_agent({"name": "A", "is_default": True})
        db.session.execute(db.text("UPDATE config_state SET epoch = 'another'"))
        db.session.execute(db.text("DELETE FROM users"))
        db.session.commit()
    close_app(app)
    databases.give_back(name)
    assert len(databases.free) == 1
    with postgres.connect(databases.lease()) as used, postgres.connect(postgres_template) as new:
        assert contents_of(used) == contents_of(new)


def test_who_stayed_connected_is_out_and_finds_nothing_again(
    databases: RecycledDatabases, postgres: PostgresServer
) -> None:
    name = databases.lease()
    left_behind = postgres.connect(name)
    left_behind.execute("BEGIN; UPDATE config_state SET rev = rev + 1")
    databases.give_back(name)
    with pytest.raises(psycopg.OperationalError):
        left_behind.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.connect(name)
    assert len(databases.free) == 1


def test_whatever_ddl_changes_shows(databases: RecycledDatabases, postgres: PostgresServer) -> None:
    name = databases.lease()
    with postgres.connect(name) as connection:
        before = schema_of(connection)
        for change in DDL:
            with connection.transaction(force_rollback=True):
                connection.execute(change)
                assert schema_of(connection) != before, change
        assert schema_of(connection) == before
    databases.give_back(name)
    assert len(databases.free) == 1


def test_one_with_another_schema_is_not_used_again(
    databases: RecycledDatabases, postgres: PostgresServer
) -> None:
    name = databases.lease()
    with postgres.connect(name) as connection:
        connection.execute(DDL[0])
    databases.give_back(name)
    assert databases.free == []


def test_one_that_is_gone_is_not_missed(
    databases: RecycledDatabases, postgres: PostgresServer
) -> None:
    name = databases.lease()
    postgres.drop_database(name)
    databases.give_back(name)
    assert databases.free == []
    databases.give_back(databases.lease())
    assert len(databases.free) == 1
