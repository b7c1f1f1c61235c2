"""Reads are cached by the state of the configuration: nobody can tell, but for the speed.

Two apps on one database stand for two processes: what one saves, the other's next read shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.pool import PoolProxiedConnection
from werkzeug.test import TestResponse

from app.accounts import gate
from app.accounts import services as accounts
from app.accounts.models import ApiToken
from app.agents import halt
from app.core.clock import utcnow
from app.core.crypto import Secret
from app.core.db import commit, db
from app.core.read_now import Reader
from app.providers.models import Provider, ValidationStatus
from tests.conftest import ADMIN_TOKEN, Api, close_app, make_app
from tests.contract.conftest import MakeToken, MakeUser
from tests.support.servers import RedisServer

KEY = "sk-canary-first"


@dataclass
class Agent:
    """Another process, with a token of a running agent's."""

    http: FlaskClient
    token: str

    def __call__(self, path: str = "/agents/desk/llm", **headers: str) -> TestResponse:
        bearer = {"Authorization": f"Bearer {self.token}"}
        return self.http.get(f"/api{path}", headers=bearer | headers)


@pytest.fixture
def other_app(database_url: str, redis: RedisServer) -> Iterator[Flask]:
    app = make_app(database_url, redis.url)
    yield app
    close_app(app)


@pytest.fixture
def read(api: Api, other_app: Flask, make_token: MakeToken) -> Agent:
    """Reads the agent ``desk`` in another process, whose cache is warm."""
    agent = {"agent_id": "desk", "name": "Desk", "llm_provider": "openai", "llm_model": "first"}
    assert api("POST", "/agents", agent | {"llm_api_key": KEY}).status_code == 201
    reader = Agent(other_app.test_client(), make_token("config:read", "secrets:read"))
    for _ in range(2):
        assert reader().json["llm_model"] == "first"
    return reader


def _provider(api: Api) -> Any:
    return api("GET", "/agents/desk").json["provider"]["id"]


def _rest(app: Flask, api: Api) -> None:
    api("PATCH", "/agents/desk", {"llm_model": "second"})


def _chain(app: Flask, api: Api) -> None:
    api("POST", "/agents/desk/llm-configs", {"provider": "openai", "model_name": "fallback"})


def _bulk(app: Flask, api: Api) -> None:
    config = {"provider": "openai", "model_name": "bulk"}
    answer = api("POST", "/llm-configs/bulk", {"agent_ids": ["desk"], "config": config})
    assert answer.status_code == 200


def _endpoint(app: Flask, api: Api) -> None:
    body = {"base_url": "https://other.example/v1", "api_key": None}
    assert api("PATCH", f"/providers/{_provider(api)}", body).status_code == 200


def _deactivated(app: Flask, api: Api) -> None:
    api("PATCH", "/agents/desk", {"is_active": False})


def _deleted(app: Flask, api: Api) -> None:
    assert api("DELETE", "/agents/desk").status_code == 200


def _halted(app: Flask, api: Api) -> None:
    api("POST", "/agents/desk/halt", {"reason": "too hot"})


def _command_line(app: Flask, api: Api) -> None:
    result = app.test_cli_runner().invoke(args=["agents", "halt", "--all"])
    assert result.exit_code == 0, result.output


def _service(app: Flask, api: Api) -> None:
    with app.app_context():
        halt.halt_all("everybody")


def _worker(app: Flask, api: Api) -> None:
    provider_id = _provider(api)
    with app.app_context():
        provider = db.session.get_one(Provider, provider_id)
        provider.validation_status = provider.settled_status = ValidationStatus.CONNECTED
        commit()


def _key(app: Flask, api: Api) -> None:
    provider_id = _provider(api)
    api("PATCH", "/agents/desk", {"llm_api_key": None})
    with app.app_context():
        db.session.get_one(Provider, provider_id).set_api_key(Secret("sk-canary-second"))
        commit()


DOORS = [
    _rest,
    _chain,
    _bulk,
    _endpoint,
    _deactivated,
    _deleted,
    _halted,
    _command_line,
    _service,
    _worker,
    _key,
]


# How a door saves is one thing on either database; how a reader hears of it is not.
CASES = [("sqlite", door) for door in DOORS] + [("postgresql", door) for door in (_rest, _service)]


@pytest.mark.parametrize(
    ("backend", "door"), CASES, ids=lambda it: getattr(it, "__name__", it).strip("_")
)
def test_no_read_is_older_than_the_last_save_by_any_door(
    read: Agent, app: Flask, api: Api, door: Callable[[Flask, Api], None]
) -> None:
    before = read()
    synced = read("/sync")
    door(app, api)
    after, fresh = read(), api("GET", "/agents/desk/llm")
    assert after.json == fresh.json
    assert after.json["rev"] > before.json["rev"]
    assert _content(after) != _content(before)
    assert read(**{"If-None-Match": before.headers["ETag"]}).status_code == 200
    again = read("/sync", **{"If-None-Match": synced.headers["ETag"]})
    assert (again.status_code, again.json["rev"]) == (200, after.json["rev"])


def _content(answer: TestResponse) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if not name.endswith("rev")}


def test_what_is_known_is_not_sent_again(read: Agent) -> None:
    for path in ("/agents/desk/llm", "/sync"):
        first = read(path)
        again = read(path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Cache-Control"] == "no-store"
        assert read(path, **{"If-None-Match": '"other"'}).json == first.json


def test_each_caller_gets_their_own(read: Agent, make_token: MakeToken) -> None:
    assert read().json["llm_api_key"] == KEY
    keyless = Agent(read.http, make_token("config:read"))
    assert keyless().json["llm_api_key"] is None
    known = {"If-None-Match": read().headers["ETag"]}
    assert keyless(**known).status_code == 200
    bound = Agent(read.http, make_token("config:read", agents=["other"]))
    assert bound().status_code == 403
    assert bound("/agents/other/llm").json["source"] == "default"


def test_a_token_whose_row_is_the_same_is_not_loaded_again(
    read: Agent, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read().status_code == 200
    api("PATCH", "/agents/desk", {"description": "another rev"})
    monkeypatch.setattr(accounts, "find_live_token", None)
    assert read().status_code == 200


def test_a_revoked_token_is_refused_at_once(read: Agent, api: Api) -> None:
    (token,) = (t for t in api("GET", "/tokens").json["tokens"] if t["name"] == "a test's")
    assert api("DELETE", f"/tokens/{token['id']}").status_code == 200
    assert read().status_code == 401
    assert read("/sync").status_code == 401


def test_narrower_rights_count_at_once(read: Agent, api: Api) -> None:
    (token,) = (t for t in api("GET", "/tokens").json["tokens"] if t["name"] == "a test's")
    api("PATCH", f"/tokens/{token['id']}", {"scopes": ["config:read"]})
    assert read().json["llm_api_key"] is None
    api("PATCH", f"/tokens/{token['id']}", {"agents": ["other"]})
    assert read().status_code == 403


def test_the_token_of_a_deactivated_owner_is_refused_at_once(
    read: Agent, app: Flask, make_token: MakeToken, make_user: MakeUser
) -> None:
    owner = make_user("owner@example.com")
    theirs = Agent(read.http, make_token("config:read", user_id=owner))
    assert theirs().status_code == 200
    with app.app_context():
        accounts.update_user(owner, {"active": False})
    assert theirs().status_code == 401


def test_an_expired_token_is_refused_though_nothing_changed(
    read: Agent, make_token: MakeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = utcnow() + timedelta(minutes=5)
    theirs = Agent(read.http, make_token("config:read", expires_at=expires_at))
    assert theirs().status_code == 200
    for module in ("gate", "models"):
        monkeypatch.setattr(f"app.accounts.{module}.utcnow", lambda: expires_at)
    assert theirs().status_code == 401


def test_a_token_ended_behind_the_trackers_back_is_refused_within_a_second(
    read: Agent, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.update(ApiToken.__table__).values(revoked_at=utcnow()))
    assert gate.MAX_AGE == 1.0
    monkeypatch.setattr(gate, "MAX_AGE", 0)
    assert read().status_code == 401


def test_a_database_that_is_away_is_a_clear_answer(
    read: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Reader, connection: PoolProxiedConnection, _statement: str) -> None:
        connection.close()
        raise self._away

    monkeypatch.setattr(Reader, "_read", refuse)
    answer = read()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert ADMIN_TOKEN not in answer.text
