"""One web server for many tests: most of what a test with a server costs is the server's start."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests
import sqlalchemy as sa
from flask import Flask

from app.agents.models import Agent
from app.changes.services import read_state
from app.core.db import commit, db, flush, reading
from app.providers.models import Provider
from app.tasks.models import Task
from tests.conftest import ADMIN_TOKEN, BACKENDS, close_app, make_app
from tests.support.databases import shared_database
from tests.support.processes import wait_until
from tests.support.servers import RedisServer, WebServer, redis_server, server_env, web_server
from tests.support.sockets import Listener

CANARY = "sk-canary-0123456789abcdef"
MOST_SOCKETS, MOST_OF_A_TOKEN = 22, 20

# What happens above the database is tested on one.
on_sqlite = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("server", ["postgresql"], indirect=True)


class Site:
    """A running server and the ways into it; ``app`` is another process on its database."""

    def __init__(self, web: WebServer, app: Flask, redis: RedisServer) -> None:
        self.web = web
        self.app = app
        self.redis = redis
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.web.url}/api{path}", json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def make(self, *names: str, **fields: Any) -> None:
        for name in names:
            given = {"llm_provider": "openai", "llm_model": "first"} | fields
            self.call("POST", "/agents", {"name": name} | given)

    def change(self, agent_id: str, model: str) -> int:
        """Give it another model; answers its version."""
        return int(self.call("PATCH", f"/agents/{agent_id}", {"llm_model": model})["version"])

    def listen(self, path: str = "", token: str = ADMIN_TOKEN, **options: Any) -> Listener:
        """From now on: what has been saved before is not on its way to this listener any more."""
        with self.app.app_context(), reading():
            rev = read_state().rev

        def listener_since() -> Listener | None:
            listener = Listener(f"{self.web.url}{path}", token, **options)
            if listener.wait_for("welcome")[0]["rev"] == rev:
                return listener
            listener.close()
            return None

        listener: Any = wait_until(listener_since, f"the server has come to rev {rev}")
        return cast(Listener, listener)


@pytest.fixture(scope="package", params=BACKENDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A test that kills something of it brings it back."""
    folder = tmp_path_factory.mktemp("web")
    with shared_database(request, folder) as url, redis_server() as redis:
        app = make_app(url, redis.url)
        env = server_env(
            folder,
            DATABASE_URL=url,
            REDIS_URL=redis.url,
            RATE_LIMIT_API="100000 per minute",
            WS_HEARTBEAT="1",
            WS_MAX_SOCKETS=str(MOST_SOCKETS),
            WS_MAX_SOCKETS_PER_TOKEN=str(MOST_OF_A_TOKEN),
        )
        with web_server(env, folder / "web.log") as web:
            site = Site(web, app, redis)
            yield site
            site.http.close()
        close_app(app)


@pytest.fixture
def site(server: Site) -> Iterator[Site]:
    """The server as it was set up, with nothing on its way to a socket any more."""
    with server.app.app_context():
        for model in (Agent, Provider, Task):
            for row in db.session.scalars(sa.select(model).where(~_is_seeded(model))):
                db.session.delete(row)
            flush()
        commit()
    server.listen().close()
    said = len(server.web.output())
    yield server
    assert CANARY not in server.web.output()
    assert "Traceback" not in server.web.output()[said:], server.web.output()[said:]


def _is_seeded(model: Any) -> sa.ColumnElement[bool]:
    if model is Agent:
        return Agent.agent_id == "default"
    return Provider.name == "ollama" if model is Provider else sa.false()
