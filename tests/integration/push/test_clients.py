"""Clients end to end: what they say on real sockets of real servers, and what is listed of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from switchyard_client import SwitchyardClient

from app.core.db import db
from tests.conftest import ADMIN_TOKEN
from tests.integration.push.conftest import Site, on_postgresql, on_sqlite
from tests.support.processes import free_port, wait_until
from tests.support.servers import web_server
from tests.support.sockets import Listener

pytestmark = pytest.mark.xdist_group("push")


class Desk:
    """A running program: it listens, and says which rev it has applied."""

    def __init__(self, site: Site, client_id: str) -> None:
        self.listener = Listener(site.web.url, ADMIN_TOKEN)
        self._client_id = client_id
        (welcome,) = self.listener.wait_for("welcome")
        self._epoch = welcome["epoch"]
        self.say_applied(welcome["rev"])

    def say_applied(self, rev: int) -> None:
        hello = {"client_id": self._client_id, "sdk": "desk/1", "epoch": self._epoch}
        self.listener.say({"hello": hello | {"since": rev, "applied_rev": rev}})

    def leave(self) -> None:
        self.listener.close()


@pytest.fixture(scope="package")
def other(server: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A second process on the same database: on gevent, where the database allows for that."""
    worker_class = "gthread" if "sqlite" in server.web.env["DATABASE_URL"] else "gevent"
    log = tmp_path_factory.mktemp("other") / "web.log"
    with web_server(server.web.env | {"PORT": str(free_port())}, log, worker_class) as web:
        site = Site(web, server.app, server.redis)
        yield site
        site.http.close()
    assert "Traceback" not in web.output(), web.output()


def wait_for_client(site: Site, client_id: str, **expected: Any) -> dict[str, Any]:
    """The client, once it is as expected."""

    def found() -> dict[str, Any] | None:
        known = [it for it in listed(site) if it["client_id"] == client_id]
        assert len(known) <= 1
        return next((it for it in known if expected.items() <= it.items()), None)

    client: Any = wait_until(found, f"{client_id} with {expected}", every=0.1)
    return dict(client)


def listed(site: Site, query: str = "") -> list[dict[str, Any]]:
    clients: list[dict[str, Any]] = site.call("GET", f"/clients{query}")["clients"]
    return clients


@pytest.mark.parametrize("served_by", ["site", "other"])
def test_who_says_hello_is_listed_until_it_leaves(site: Site, other: Site, served_by: str) -> None:
    name = f"hello-{served_by}"
    desk = Desk({"site": site, "other": other}[served_by], name)
    client = wait_for_client(site, name, connected=True, behind=0)
    assert (client["token"], client["sdk"]) == ("ADMIN_TOKEN", "desk/1")
    site.make("Trader")
    (change,) = desk.listener.wait_for("agent_created")
    wait_for_client(site, name, behind=change["rev"] - client["applied_rev"])
    assert name in {it["client_id"] for it in listed(site, "?behind=true")}
    desk.say_applied(change["rev"])
    wait_for_client(site, name, behind=0, applied_rev=change["rev"])
    desk.leave()
    gone = wait_for_client(site, name, connected=False)
    assert gone["disconnected_at"] >= gone["connected_at"]


@on_sqlite
def test_the_client_library_is_never_behind_for_long(site: Site) -> None:
    name = "library"
    with SwitchyardClient(site.web.url, token=ADMIN_TOKEN, client_id=name) as client:
        assert client.wait_ready(60)
        first = wait_for_client(site, name, connected=True, behind=0)
        assert first["sdk"].startswith("switchyard-client/")
        site.make("Trader")
        rev = site.call("GET", "/sync")["rev"]
        wait_for_client(site, name, behind=0, applied_rev=rev)
    wait_for_client(site, name, connected=False, applied_rev=rev)


@on_sqlite
def test_revs_that_do_not_concern_it_leave_nobody_behind(site: Site) -> None:
    desk = Desk(site, "unconcerned")
    before = wait_for_client(site, "unconcerned", behind=0)
    person = {"email": "ada@example.com", "username": "ada", "password": "long enough"}
    user = site.call("POST", "/users", person)
    assert site.call("GET", "/sync")["rev"] > before["applied_rev"]
    site.make("Trader")
    (change,) = desk.listener.wait_for("agent_created")
    desk.say_applied(change["rev"])
    site.call("PATCH", f"/users/{user['id']}", {"role": "operator"})
    wait_for_client(site, "unconcerned", behind=0, applied_rev=change["rev"])
    desk.leave()


def test_who_comes_back_at_another_process_is_the_same_client(site: Site, other: Site) -> None:
    desk = Desk(site, "traveller")
    before = wait_for_client(site, "traveller", connected=True)
    desk.leave()
    again = Desk(other, "traveller")
    now = wait_until(lambda: elsewhere(other, before), "the other process")
    again.leave()
    wait_for_client(site, "traveller", connected=False, process=now)


def elsewhere(site: Site, before: dict[str, Any]) -> str | None:
    """The process that serves the client now, once it is another one."""
    process: str = wait_for_client(site, before["client_id"])["process"]
    return process if process != before["process"] else None


@on_postgresql
def test_no_push_waits_for_clients_to_be_written(site: Site) -> None:
    desk = Desk(site, "waiter")
    wait_for_client(site, "waiter", connected=True)
    with locked(site, "clients"):
        site.make("First")
        (first,) = desk.listener.wait_for("agent_created")
        desk.say_applied(first["rev"])
        wait_until(lambda: waiting_for_a_lock(site), "somebody waits for the table")
        began = time.monotonic()
        for count in range(2, 10):
            site.make(f"Number {count}")
            last = desk.listener.wait_for("agent_created", count=count)[-1]
            desk.say_applied(last["rev"])
        # Whoever waits for the table gives up after 5 s: the eight of them would have taken 40.
        assert time.monotonic() - began < 35
    wait_for_client(site, "waiter", behind=0, applied_rev=last["rev"])
    desk.leave()


def test_who_was_served_by_a_process_that_ended_is_not_connected(site: Site, other: Site) -> None:
    """The last one with the other server."""
    desk = Desk(other, "orphan")
    wait_for_client(site, "orphan", connected=True)
    other.web.stop()
    assert desk.listener.wait_for_end() == 1001
    wait_for_client(site, "orphan", connected=False)


@contextmanager
def locked(site: Site, table: str) -> Iterator[None]:
    """Nobody else reads or writes the table."""
    with site.app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(sa.text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def waiting_for_a_lock(site: Site) -> bool:
    with site.app.app_context(), db.engine.connect() as connection:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(connection.scalar(waiting))
