"""Keys at rest: the canary, rotation, and servers that refuse another database's keys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from flask import Flask

from app.agents import services as agents
from app.changes.services import read_state
from app.core import keys
from app.core.crypto import Keyring
from app.core.db import commit, db
from app.core.models import EncryptionCanary
from app.providers import services as providers
from app.providers.models import Provider
from app.settings import SettingsError
from tests.conftest import ADMIN_TOKEN, close_app, make_app
from tests.support.processes import ManagedProcess
from tests.support.servers import SECRETS, CeleryWorker, RedisServer, WebServer, server_env

OLD = SECRETS["ENCRYPTION_KEYS"]
NEW = Fernet.generate_key().decode()
NAMES = ("one", "two", "three", "four")

MakeApp = Callable[..., Flask]


@pytest.fixture
def app_with(database_url: str, redis: RedisServer) -> Iterator[MakeApp]:
    """``app_with(NEW, OLD)``: another app on the same database, with these keys."""
    made: list[Flask] = []

    def make(*encryption_keys: str) -> Flask:
        made.append(make_app(database_url, redis.url, ENCRYPTION_KEYS=encryption_keys))
        return made[-1]

    yield make
    for app in made:
        close_app(app)


@pytest.fixture
def filled(app_with: MakeApp) -> Flask:
    """An app with a key on four providers and on a step."""
    app = app_with(OLD)
    with app.app_context():
        for name in NAMES:
            providers.create_provider({"name": name, "type": "openai", "api_key": f"sk-{name}"})
        agents.create_agent(
            {"name": "A", "llm_provider": "one", "llm_model": "m", "llm_api_key": "sk-step"}
        )
    return app


def test_the_canary_knows_its_keys(app_with: MakeApp) -> None:
    with app_with(OLD).app_context():
        assert keys.check_canary() == "ok"
    with app_with(NEW, OLD).app_context():
        assert keys.check_canary() == "ok"
    wrong = app_with(NEW)
    with wrong.app_context(), pytest.raises(SettingsError, match="Put the old key back"):
        keys.check_canary()
    with pytest.raises(SettingsError, match="Put the old key back"):
        keys.check_before_serving(wrong)


def test_nothing_is_made_up_for_a_database_without_a_canary(app_with: MakeApp) -> None:
    app = app_with(NEW)
    with app.app_context():
        db.session.execute(sa.delete(EncryptionCanary))
        commit()
        keys.check_before_serving(app)
        assert db.session.scalars(sa.select(EncryptionCanary)).all() == []
        assert keys.check_canary() == "made"
        assert keys.check_canary() == "ok"


def test_a_database_that_is_away_says_nothing_against_the_keys(redis: RedisServer) -> None:
    app = make_app("postgresql+psycopg://nobody@127.0.0.1:1/none", redis.url)
    keys.check_before_serving(app)
    close_app(app)


def test_rotation_puts_everything_under_the_first_key(filled: Flask, app_with: MakeApp) -> None:
    app = app_with(NEW, OLD)
    with app.app_context():
        assert keys.status() == keys.KeyReport(0, 5, [])
        before = _rows(), read_state()
        db.session.rollback()
        assert keys.rotate() == keys.KeyReport(5, 0, [])
        after = _rows(), read_state()
        # Not a change of the configuration: nobody has to fetch a key again.
        assert after[1] == before[1]
        assert {(r.id, r.version, r.api_key_id) for r in after[0]} == {
            (r.id, r.version, r.api_key_id) for r in before[0]
        }
        assert not {r.api_key_sealed for r in after[0]} & {r.api_key_sealed for r in before[0]}
    with app_with(NEW).app_context():
        assert keys.check_canary() == "ok"
        assert _opened() == {name: f"sk-{name}" for name in NAMES}
    with app_with(OLD).app_context(), pytest.raises(SettingsError):
        keys.check_canary()


def test_rotation_is_online_and_resumes_where_it_stopped(filled: Flask, app_with: MakeApp) -> None:
    app = app_with(NEW, OLD)
    bystander = app.test_client()
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        keys.rotate(progress=_interrupted_after(2))
    with app.app_context():
        assert keys.status() == keys.KeyReport(2, 3, [])
        # In the middle of it both halves are served.
        assert _opened() == {name: f"sk-{name}" for name in NAMES}
    answer = bystander.get("/api/agents/a/llm", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    assert answer.json["llm_api_key"] == "sk-step"
    with app.app_context():
        assert keys.rotate() == keys.KeyReport(5, 0, [])


def test_what_does_not_open_is_named_and_left_alone(filled: Flask, app_with: MakeApp) -> None:
    foreign = Keyring([Fernet.generate_key().decode()]).seal("provider", {"secret": "x"})
    with filled.app_context():
        providers_table = sa.inspect(Provider).local_table
        db.session.execute(
            sa.update(providers_table)
            .where(providers_table.c.name == "two")
            .values(api_key_sealed=foreign)
        )
        commit()
    app = app_with(NEW, OLD)
    with app.app_context():
        report = keys.rotate()
        assert (report.current, report.outdated) == (4, 0)
        (named,) = report.unreadable
        assert "two" in named
        assert [r.api_key_sealed for r in _rows() if r.name == "two"] == [foreign]
    result = app.test_cli_runner().invoke(args=["keys", "rotate"])
    assert result.exit_code == 1
    assert "enter it again: provider" in result.stderr
    assert "(two)" in result.stderr


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_was_moved_to_another_row_or_origin_is_named_as_well(filled: Flask) -> None:
    providers_table = sa.inspect(Provider).local_table
    with filled.app_context():
        sealed = _rows()[0].api_key_sealed
        for name, moved in (
            ("three", {"api_key_sealed": sealed}),
            ("four", {"base_url": "https://evil.example/v1"}),
        ):
            of_that_name = providers_table.c.name == name
            db.session.execute(sa.update(providers_table).where(of_that_name).values(moved))
        commit()
        assert {it.rpartition(" ")[2] for it in keys.status().unreadable} == {"(three)", "(four)"}


def test_rotating_with_foreign_keys_is_refused(filled: Flask, app_with: MakeApp) -> None:
    app = app_with(NEW)
    with filled.app_context():
        before = {r.api_key_sealed for r in _rows()}
    result = app.test_cli_runner().invoke(args=["keys", "rotate"])
    assert result.exit_code == 2
    assert "none of them is this database's key" in result.stderr
    status = app.test_cli_runner().invoke(args=["keys", "status", "--json"])
    assert status.exit_code == 1
    assert status.stdout.count("provider ") == 4
    with filled.app_context():
        assert {r.api_key_sealed for r in _rows()} == before


@pytest.mark.parametrize(
    "command", [["seed"], ["providers", "check", "--all"], ["config", "import", "-"]]
)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_command_that_seals_or_opens_refuses_foreign_keys(
    filled: Flask, app_with: MakeApp, command: list[str]
) -> None:
    runner = app_with(NEW).test_cli_runner()
    result = runner.invoke(args=command, input="format_version: 1\nwebhooks: []\n")
    assert result.exit_code == 2
    assert "none of them is this database's key" in result.stderr
    with filled.app_context():
        assert {it.settled_status for it in db.session.scalars(sa.select(Provider))} == {"pending"}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_where_a_key_is_lost_for_good_another_is_adopted(filled: Flask, app_with: MakeApp) -> None:
    runner = app_with(NEW).test_cli_runner()
    assert runner.invoke(args=["keys", "adopt"], input="n\n").exit_code == 1
    with filled.app_context():
        assert keys.check_canary() == "ok"
        before = {it.api_key_sealed for it in _rows()}
    result = runner.invoke(args=["keys", "adopt", "--yes"])
    assert result.exit_code == 1
    assert result.stderr.count("enter it again: provider") == len(NAMES)
    app = app_with(NEW)
    keys.check_before_serving(app)
    with app.app_context():
        assert {it.api_key_sealed for it in _rows()} == before, "nothing is wiped"
    with app_with(NEW, OLD).app_context():
        assert keys.rotate() == keys.KeyReport(5, 0, []), "it has turned up after all"


def test_an_unreadable_key_is_served_as_none(filled: Flask, app_with: MakeApp) -> None:
    answer = (
        app_with(NEW)
        .test_client()
        .get("/api/agents/a/llm", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    )
    assert answer.status_code == 200
    assert answer.json["llm_api_key"] is None
    assert answer.json["llm_api_key_id"]


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("server", [WebServer, CeleryWorker])
def test_a_server_refuses_to_start_with_foreign_keys(
    filled: Flask, redis: RedisServer, tmp_path: Any, server: type[ManagedProcess]
) -> None:
    environment = server_env(
        tmp_path,
        DATABASE_URL=filled.config["DATABASE_URL"],
        REDIS_URL=redis.url,
        ENCRYPTION_KEYS=NEW,
    )
    process = server(tmp_path / "log", environment)
    ManagedProcess.start(process)  # without waiting until it serves
    try:
        assert process.wait_for_exit() != 0
    finally:
        process.stop()
    said = process.output()
    assert "none of them is this database's key" in said
    assert "Traceback" not in said
    assert NEW not in said


def test_readyz_says_that_the_keys_are_not_the_databases(filled: Flask, app_with: MakeApp) -> None:
    assert filled.test_client().get("/readyz").json["keys"] == "ok"
    answer = app_with(NEW).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json["keys"] == "not this database's"


def _rows() -> list[Any]:
    table = sa.inspect(Provider).local_table
    rows = db.session.execute(
        sa.select(table).where(table.c.api_key_sealed.is_not(None)).order_by(table.c.id)
    ).all()
    db.session.rollback()
    return list(rows)


def _opened() -> dict[str, str]:
    stored = db.session.scalars(sa.select(Provider).where(Provider.name.in_(NAMES)))
    secrets = {provider.name: provider.open_api_key() for provider in stored}
    return {name: secret.get_secret_value() for name, secret in secrets.items() if secret}


def _interrupted_after(steps: int) -> Callable[..., Any]:
    """A progress bar that is interrupted by Ctrl-C."""

    @contextmanager
    def progress(items: list[Any], label: str) -> Iterator[Iterator[Any]]:
        def some() -> Iterator[Any]:
            yield from items[:steps]
            raise KeyboardInterrupt

        yield some()

    return progress
