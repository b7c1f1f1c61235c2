"""Clients end to end: what they say on real sockets of real servers, and what is listed of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from switchyard_client import SwitchyardClient

from app.core.db import db
from tests.conftest import ADMIN_TOKEN
from tests.support.processes import wait_until
from tests.support.servers import RedisServer, WebServer, server_env, web_server
from tests.support.sockets import Listener

one_database = pytest.mark.parametrize("backend", ["sqlite"])


class Desk:
    """A running program: it listens, and says which rev it has applied."""

    def __init__(self, web: WebServer, client_id: str = "desk-7") -> None:
        self.listener = Listener(web.url, ADMIN_TOKEN)
        self._client_id = client_id
        (welcome,) = self.listener.wait_for("welcome")
        self._epoch = welcome["epoch"]
        self.say_applied(welcome["rev"])

    def say_applied(self, rev: int) -> None:
        hello = {"client_id": self._client_id, "sdk": "desk/1", "epoch": self._epoch}
        self.listener.say({"hello": hello | {"since": rev, "applied_rev": rev}})

    def leave(self) -> None:
        self.listener.close()


Start = Callable[..., WebServer]


@pytest.fixture
def start(app: Flask, redis: RedisServer, tmp_path: Path) -> Iterator[Start]:
    """``start()``: one more server on the test's database."""
    settings = {"DATABASE_URL": app.config["DATABASE_URL"], "REDIS_URL": redis.url}
    env = server_env(tmp_path, **settings, RATE_LIMIT_API="100000 per minute")
    servers: list[WebServer] = []
    with ExitStack() as stack:

        def start_one(worker_class: str = "gthread") -> WebServer:
            log = tmp_path / f"web-{len(servers)}.log"
            servers.append(stack.enter_context(web_server(env, log, worker_class)))
            return servers[-1]

        yield start_one
    for server in servers:
        assert "Traceback" not in server.output(), server.output()


def call(web: WebServer, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = requests.request(method, f"{web.url}/api{path}", json=body, headers=headers, timeout=9)
    assert answer.ok, answer.text
    return answer.json()


def wait_for_client(web: WebServer, **expected: Any) -> dict[str, Any]:
    """The only client, once it is as expected."""

    def found() -> dict[str, Any] | None:
        clients = call(web, "GET", "/clients")["clients"]
        assert len(clients) <= 1
        return next((it for it in clients if expected.items() <= it.items()), None)

    client: Any = wait_until(found, f"a client with {expected}", every=0.1)
    return dict(client)


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_who_says_hello_is_listed_until_it_leaves(start: Start, worker_class: str) -> None:
    web = start(worker_class)
    desk = Desk(web)
    client = wait_for_client(web, client_id="desk-7", connected=True, behind=0)
    assert (client["token"], client["sdk"]) == ("ADMIN_TOKEN", "desk/1")
    call(web, "POST", "/agents", {"name": "Trader"})
    (change,) = desk.listener.wait_for("agent_created")
    wait_for_client(web, behind=change["rev"] - client["applied_rev"])
    assert call(web, "GET", "/clients?behind=true")["total"] == 1
    desk.say_applied(change["rev"])
    wait_for_client(web, behind=0, applied_rev=change["rev"])
    desk.leave()
    gone = wait_for_client(web, connected=False)
    assert gone["disconnected_at"] >= gone["connected_at"]


@one_database
def test_the_client_library_is_never_behind_for_long(start: Start) -> None:
    web = start()
    with SwitchyardClient(web.url, token=ADMIN_TOKEN, client_id="desk-7") as client:
        assert client.wait_ready(10)
        first = wait_for_client(web, client_id="desk-7", connected=True, behind=0)
        assert first["sdk"].startswith("switchyard-client/")
        call(web, "POST", "/agents", {"name": "Trader", "provider": "ollama", "model_name": "m"})
        rev = call(web, "GET", "/sync")["rev"]
        wait_for_client(web, behind=0, applied_rev=rev)
    wait_for_client(web, connected=False, applied_rev=rev)


@one_database
def test_revs_that_do_not_concern_it_leave_nobody_behind(start: Start) -> None:
    web = start()
    desk = Desk(web)
    before = wait_for_client(web, behind=0)
    user = {"email": "ada@example.com", "username": "ada", "password": "long enough"}
    call(web, "POST", "/users", user)
    assert call(web, "GET", "/sync")["rev"] > before["applied_rev"]
    call(web, "POST", "/agents", {"name": "Trader"})
    (change,) = desk.listener.wait_for("agent_created")
    desk.say_applied(change["rev"])
    call(web, "PATCH", "/users/2", {"role": "operator"})
    wait_for_client(web, behind=0, applied_rev=change["rev"])
    desk.leave()


def test_who_comes_back_at_another_process_is_the_same_client(start: Start) -> None:
    first, second = start(), start()
    desk = Desk(first)
    before = wait_for_client(first, connected=True)
    desk.leave()
    again = Desk(second)
    pid = wait_until(lambda: other_process(second, before), "the other process")
    assert pid != before["process"]
    again.leave()
    wait_for_client(first, connected=False, process=pid)


def other_process(web: WebServer, before: dict[str, Any]) -> str | None:
    client = wait_for_client(web)
    return client["process"] if client["process"] != before["process"] else None


@one_database
@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_who_was_served_by_a_process_that_ended_is_not_connected(
    start: Start, worker_class: str
) -> None:
    ending, staying = start(worker_class), start()
    desk = Desk(ending)
    wait_for_client(staying, connected=True)
    ending.stop()
    assert desk.listener.wait_for_end() == 1001
    wait_for_client(staying, connected=False)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_no_push_waits_for_clients_to_be_written(start: Start, app: Flask) -> None:
    web = start()
    desk = Desk(web)
    wait_for_client(web, connected=True)
    with locked(app, "clients"):
        call(web, "POST", "/agents", {"name": "First"})
        (first,) = desk.listener.wait_for("agent_created")
        desk.say_applied(first["rev"])
        wait_until(lambda: waiting_for_a_lock(app), "somebody waits for the table")
        call(web, "POST", "/agents", {"name": "Second"})
        second = desk.listener.wait_for("agent_created", count=2, timeout=3)[1]
        desk.say_applied(second["rev"])
    wait_for_client(web, behind=0, applied_rev=second["rev"])
    desk.leave()


@contextmanager
def locked(app: Flask, table: str) -> Iterator[None]:
    """Nobody else reads or writes the table."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def waiting_for_a_lock(app: Flask) -> bool:
    with app.app_context(), db.engine.connect() as connection:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(connection.scalar(waiting))
