"""Whatever is killed in the middle of fifty changes: every rev is stored and every client ends up
with the final state."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from switchyard_client import SwitchyardClient, Timings

from app.agents.services import create_agent, update_agent
from app.changes.models import Change
from app.core.db import db, reading
from tests.conftest import ADMIN_TOKEN, BACKENDS, close_app, make_app
from tests.support.databases import shared_database
from tests.support.processes import PYTHON, ManagedProcess, running, wait_until
from tests.support.replay import contradictions
from tests.support.servers import RedisServer, WebServer, redis_server, server_env, web_server

pytestmark = pytest.mark.xdist_group("no-loss")

CHANGES = 50
AGENTS = ("a", "b", "c", "d", "e")
QUICK = Timings(welcome=20.0, poll=0.5, backoff_min=0.05, backoff_max=0.3)
# A process of its own: to be killed in the middle.
WRITER = """
import sys, time
from app import create_app
from app.agents.services import update_agent
app = create_app()
with app.app_context():
    for number in range(int(sys.argv[1])):
        update_agent("abcde"[number % 5], {"llm_model": f"w{number}"})
        print(number, flush=True)
        time.sleep(0.01)
"""


@dataclass(frozen=True)
class Site:
    """A web server with a Redis of its own; ``app`` is another process on its database."""

    app: Flask
    redis: RedisServer
    web: WebServer


@pytest.fixture(scope="module", params=BACKENDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Killed and started again by one test after the other."""
    folder = tmp_path_factory.mktemp("no-loss")
    with shared_database(request, folder) as url, redis_server() as redis:
        app = make_app(url, redis.url)
        with app.app_context():
            for slug in AGENTS:
                create_agent({"name": slug, "llm_provider": "ollama", "llm_model": "first"})
        env = server_env(
            folder, DATABASE_URL=url, REDIS_URL=redis.url, RATE_LIMIT_API="100000 per minute"
        )
        with web_server(env, folder / "web.log") as web:
            yield Site(app, redis, web)
        close_app(app)


@pytest.fixture
def client(site: Site) -> Iterator[SwitchyardClient]:
    """A running agent, live before anything happens."""
    settings = {"token": ADMIN_TOKEN, "timings": QUICK, "snapshot_path": None}
    with SwitchyardClient(site.web.url, **settings) as client:
        site.web.wait_until(lambda: client.status == "LIVE", "the client is live")
        yield client


def test_redis_and_web_process_killed_in_the_middle_lose_nothing(
    site: Site, client: SwitchyardClient
) -> None:
    start = revs(site)[-1]
    write(site, range(20))
    site.redis.kill()
    write(site, range(20, 30))
    arrives(client, last_of(30))
    assert client.status == "LIVE"  # it never had to notice
    site.web.kill()
    write(site, range(30, CHANGES))
    site.redis.start()
    site.web.start()
    arrives(client, last_of(CHANGES))
    nothing_parted(site)
    assert revs(site)[-1] == start + CHANGES
    wait_until(lambda: client.status == "LIVE", "live again")


def test_all_killed_with_the_writer_leave_what_was_acknowledged(
    site: Site, client: SwitchyardClient, tmp_path: Path
) -> None:
    start = revs(site)[-1]
    argv = [PYTHON, "-c", WRITER, str(CHANGES)]
    with running(ManagedProcess(argv, tmp_path / "writer.log", site.web.env)) as writer:
        writer.wait_until(lambda: said(writer) >= CHANGES // 2, "half of the changes")
        for victim in (writer, site.redis, site.web):
            victim.kill()
    stored = revs(site)[-1] - start
    assert stored in {said(writer), said(writer) + 1}  # the last one may have died before it spoke
    nothing_parted(site)
    site.redis.start()
    site.web.start()
    arrives(client, last_of(stored, "w"))


def test_what_rest_acknowledged_is_there_after_kill_9(site: Site, client: SwitchyardClient) -> None:
    acknowledged: list[int] = []
    ended = threading.Event()

    def save_all() -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"
            for number in range(CHANGES):
                while not saved(session, site.web.url, number):
                    if ended.wait(0.05):
                        return
                acknowledged.append(number)

    writer = threading.Thread(target=save_all)
    writer.start()
    try:
        wait_until(lambda: len(acknowledged) >= CHANGES // 2, "half of the saves")
        site.web.kill()
        site.web.start()
        wait_until(lambda: len(acknowledged) == CHANGES, "all saves")
    finally:
        ended.set()  # a server that does not come back must not keep the writer for ever
        writer.join(60)
    assert acknowledged == list(range(CHANGES))
    arrives(client, last_of(CHANGES, "r"))
    nothing_parted(site)


def write(site: Site, numbers: range) -> None:
    """Changes by another process than the web server's."""
    with site.app.app_context():
        for number in numbers:
            update_agent(AGENTS[number % 5], {"llm_model": f"m{number}"})


def saved(session: requests.Session, url: str, number: int) -> bool:
    target = f"{url}/api/agents/{AGENTS[number % 5]}"
    try:
        return session.patch(target, json={"llm_model": f"r{number}"}, timeout=30).ok
    except requests.RequestException:
        return False  # killed before it answered: the same change is sent again


def said(writer: ManagedProcess) -> int:
    """How many of its changes the writer knows to be stored."""
    return len(writer.output().split())


def last_of(changes: int, writer: str = "m") -> dict[str, str]:
    """Each agent's model after so many changes."""
    return {AGENTS[number % 5]: f"{writer}{number}" for number in range(changes)}


def arrives(client: SwitchyardClient, expected: dict[str, str]) -> None:
    """The state, from the server and not from a stand-in."""

    def models() -> dict[str, str]:
        return {slug: client.get_agent_config(slug).model for slug in AGENTS}

    wait_until(lambda: models() == expected, f"{expected}")
    assert {client.get_agent_config(slug).source for slug in AGENTS} == {"agent"}


def nothing_parted(site: Site) -> None:
    """Every change is there with its data, and all data with their changes."""
    with site.app.app_context():
        assert contradictions() == []


def revs(site: Site) -> list[int]:
    """Every rev that the log holds."""
    with site.app.app_context(), reading():
        return list(db.session.scalars(sa.select(Change.rev).distinct().order_by(Change.rev)))
