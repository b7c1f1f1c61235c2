"""The command line: set-up, seeds, people, tokens; exit codes and what is printed."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import flask_migrate
import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from app.accounts import services as accounts
from app.accounts.models import ApiToken, Role, User
from app.agents import services as agents
from app.changes.models import Change
from app.core.db import db
from app.providers.models import Provider
from app.transfer.seed import seed
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN, close_app, make_app
from tests.support.processes import PYTHON, ROOT
from tests.support.servers import PostgresServer, RedisServer, server_env

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """``run("seed", "--json")`` on a database that is set up."""

    def invoke(*arguments: str) -> Result:
        return app.test_cli_runner().invoke(args=list(arguments))

    return invoke


@pytest.fixture
def fresh_app(
    backend: str, tmp_path: Path, redis: RedisServer, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Flask]]:
    """``fresh_app(**settings)``: an app on an empty database."""
    name = None
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path}/data/switchyard.db"
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        name = postgres.create_database()
        url = postgres.url(name)
    made: list[Flask] = []

    def make(**settings: Any) -> Flask:
        made.append(make_app(url, redis.url, **settings))
        return made[-1]

    yield make
    for app in made:
        close_app(app)
    if name is not None:
        postgres.drop_database(name)


def test_the_first_set_up_prints_what_it_made_and_later_ones_nothing(
    fresh_app: Callable[..., Flask],
) -> None:
    app = fresh_app(ADMIN_PASSWORD=None)
    first = _json(app.test_cli_runner().invoke(args=["setup", "--json"]))
    assert first["admin_email"] == ADMIN_EMAIL
    assert len(first["admin_password"]) >= 12
    assert first["client_token"].startswith("sy_")
    assert (first["keys"], first["made"]) == ("made", ["agent default"])
    second = _json(app.test_cli_runner().invoke(args=["setup", "--json"]))
    assert second == first | {
        "admin_password": None,
        "client_token": None,
        "keys": "ok",
        "made": [],
    }
    with app.app_context():
        (admin,) = db.session.scalars(sa.select(User)).all()
        assert (admin.email, admin.role) == (ADMIN_EMAIL, Role.ADMIN)
        assert admin.password.startswith("$argon2")
        client = db.session.scalars(sa.select(ApiToken).where(ApiToken.name == "client")).one()
        assert client.scopes == ["config:read", "secrets:read", "usage:write"]
        assert client.agents is None
    http = app.test_client()
    for token in (first["client_token"], ADMIN_TOKEN):
        headers = {"Authorization": f"Bearer {token}"}
        assert http.get("/api/agents/any/llm", headers=headers).status_code == 200


def test_a_preset_password_is_not_made_up(fresh_app: Callable[..., Flask]) -> None:
    app = fresh_app(ADMIN_PASSWORD=ADMIN_PASSWORD, WTF_CSRF_ENABLED=False, ADMIN_TOKEN=None)
    app.test_cli_runner().invoke(args=["setup"])
    form = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    assert app.test_client().post("/login", data=form).status_code == 302
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    assert app.test_client().get("/api/agents", headers=headers).status_code == 401


def test_the_seed_of_a_fresh_database(app: Flask) -> None:
    with app.app_context():
        default = agents.find_default(None)
        assert default is not None
        assert (default.agent_id, default.name) == ("default", "Default Agent")
        assert default.description == "Fallback agent for unconfigured requests"
        (step,) = default.llm_configs
        assert step.model_name == "mistral:7b-instruct"
        assert (step.provider.type, step.provider.name) == ("ollama", "ollama")
        assert step.provider.base_url == "http://127.0.0.1:11434"


def test_a_seed_is_idempotent_and_leaves_choices_alone(app: Flask, run: Run) -> None:
    assert run("seed").stdout == "Nothing to do: it is all there.\n"
    with app.app_context():
        agents.create_agent({"name": "Mine", "is_default": True})
        agents.delete_agent("default")
        revs = db.session.scalar(sa.select(sa.func.max(Change.rev)))
    assert _json(run("seed", "--json")) == {"made": []}
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.max(Change.rev))) == revs
        assert db.session.scalars(sa.select(sa.func.count(Provider.id))).one() == 1


def test_seeds_at_once_make_one_default(fresh_app: Callable[..., Flask]) -> None:
    app = fresh_app()
    with app.app_context():
        flask_migrate.upgrade()

    def make(_number: int) -> list[str]:
        with app.app_context():
            return seed()

    with ThreadPoolExecutor(6) as pool:
        made = sorted(pool.map(make, range(6)))
    assert made == [[], [], [], [], [], ["agent default"]]


def test_agents_without_a_config_get_one(app: Flask, run: Run) -> None:
    with app.app_context():
        agents.create_agent({"name": "Bare"})
    answer = _json(
        run("seed", "--missing-configs", "--provider", "openai", "--model", "gpt-4", "--json")
    )
    assert answer == {"made": ["chain of bare"]}
    with app.app_context():
        (step,) = agents.get_agent("bare").llm_configs
        assert (step.provider.type, step.model_name) == ("openai", "gpt-4")
    assert run("seed", "--missing-configs").exit_code == 2
    with app.app_context():
        agents.create_agent({"name": "Bare too"})
    refused = run("seed", "--missing-configs", "--provider", "nobody", "--model", "m")
    _assert_refused(refused, "no provider has this name")


def test_people_are_added(app: Flask, run: Run) -> None:
    arguments = ("users", "create", "Ada@Example.com", "--role", "operator")
    made = run(*arguments, "--password", "long enough 1", "--json")
    assert _json(made)["email"] == "ada@example.com"
    with app.app_context():
        ada = accounts.find_user("ada@example.com")
        assert ada is not None
        assert ada.role is Role.OPERATOR
        change = db.session.scalars(sa.select(Change).order_by(Change.rev.desc())).first()
        assert change is not None
        assert change.actor.startswith("cli:")
    _assert_refused(run(*arguments, "--password", "long enough 1"), "taken")
    assert run("users", "create", "b@example.com", "--role", "king").exit_code == 2


def test_there_is_one_way_to_add_people(app: Flask) -> None:
    users = app.cli.get_command(click.Context(app.cli), "users")
    assert isinstance(users, click.Group)
    assert set(users.commands) == {"create"}
    assert "roles" not in app.cli.commands


def test_people_and_tokens_are_checked_as_by_the_api(run: Run) -> None:
    _assert_refused(run("users", "create", "nobody", "--password", "long enough 1"), "email")
    _assert_refused(run("users", "create", "b@example.com", "--password", "short"), "password")
    _assert_refused(run("tokens", "create", "n" * 129), "name")
    _assert_refused(run("tokens", "create", "x", "--agent", "a" * 65), "agents")


def test_tokens_are_made_and_revoked(app: Flask, run: Run) -> None:
    made = _json(run("tokens", "create", "desk", "--agent", "default", "--json"))
    headers = {"Authorization": f"Bearer {made['token']}"}
    http = app.test_client()
    assert http.get("/api/agents/default/llm", headers=headers).status_code == 200
    assert http.get("/api/agents/other/llm", headers=headers).status_code == 403
    assert http.post("/api/agents", json={"name": "x"}, headers=headers).status_code == 403
    plain = run("tokens", "create", "plain", "--scope", "config:read")
    assert plain.stdout.strip().startswith("sy_")
    assert run("tokens", "revoke", str(made["id"])).exit_code == 0
    assert http.get("/api/agents/default/llm", headers=headers).status_code == 401
    _assert_refused(run("tokens", "revoke", "999999"), "no such token")


def test_an_empty_database_is_said_to_be_one(fresh_app: Callable[..., Flask]) -> None:
    for arguments in (["seed"], ["tokens", "create", "x"], ["keys", "status"]):
        result = fresh_app().test_cli_runner().invoke(args=arguments)
        _assert_refused(result, "database")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_database_that_is_away_is_one_line(backend: str, redis: RedisServer) -> None:
    app = make_app("postgresql+psycopg://nobody@127.0.0.1:1/none", redis.url)
    for arguments in (["seed"], ["tokens", "create", "x"], ["keys", "status"]):
        _assert_refused(app.test_cli_runner().invoke(args=arguments), "database")
    close_app(app)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_file_that_is_no_database_is_one_line(
    backend: str, tmp_path: Path, redis: RedisServer
) -> None:
    (tmp_path / "notes.db").write_text("These are my notes of last week, and no database. " * 20)
    app = make_app(f"sqlite:///{tmp_path}/notes.db", redis.url)
    _assert_refused(app.test_cli_runner().invoke(args=["providers", "check", "--all"]), "database")
    close_app(app)


def test_a_wrong_setting_is_named_with_its_fix(tmp_path: Path) -> None:
    result = subprocess.run(
        [PYTHON, "-m", "flask", "seed"],
        cwd=ROOT,
        env=server_env(tmp_path, PORT="eighty"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "PORT: 'eighty' will not do; set it to a whole number from 1 to 65535" in result.stderr
    assert "Traceback" not in result.stderr


def _json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    body: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return body


def _assert_refused(result: Result, words: str) -> None:
    """One line on stderr, exit code 2."""
    assert result.exit_code == 2, (result.output, result.exception)
    assert words in result.stderr.lower()
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1
