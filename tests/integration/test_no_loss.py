"""Whatever is killed in the middle of fifty changes: every rev is stored and every client ends up
with the final state."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from switchyard_client import SwitchyardClient, Timings

from app.agents.services import create_agent
from app.changes.models import Change
from app.changes.services import read_state
from app.core.db import db, reading
from tests.conftest import ADMIN_TOKEN
from tests.support.processes import PYTHON, ManagedProcess, wait_until
from tests.support.servers import RedisServer, WebServer, redis_server, server_env, web_server

CHANGES = 50
AGENTS = ("a", "b", "c", "d", "e")
QUICK = Timings(welcome=1.0, poll=0.5, backoff_min=0.05, backoff_max=0.3)
# Another process than the web server: it goes on when that one is killed.
WRITER = """
import sys, time
from app import create_app
from app.agents.services import update_agent
app = create_app()
with app.app_context():
    for number in range(int(sys.argv[1])):
        update_agent("abcde"[number % 5], {"llm_model": f"m{number}"})
        print(number, flush=True)
        time.sleep(0.01)
"""
FINAL = {AGENTS[number % 5]: f"m{number}" for number in range(CHANGES)}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis to kill."""
    with redis_server() as server:
        yield server


@pytest.fixture
def env(app: Flask, own_redis: RedisServer, tmp_path: Path) -> dict[str, str]:
    with app.app_context():
        for slug in AGENTS:
            create_agent({"name": slug, "llm_provider": "ollama", "llm_model": "first"})
    settings = {"DATABASE_URL": app.config["DATABASE_URL"], "REDIS_URL": own_redis.url}
    return server_env(tmp_path, **settings, RATE_LIMIT_API="100000 per minute")


@pytest.fixture
def web(env: dict[str, str], tmp_path: Path) -> Iterator[WebServer]:
    with web_server(env, tmp_path / "web.log") as server:
        server.env["PORT"] = str(server.port)
        yield server


@pytest.fixture
def client(web: WebServer) -> Iterator[SwitchyardClient]:
    """A running agent, live before anything happens."""
    client = SwitchyardClient(web.url, token=ADMIN_TOKEN, timings=QUICK, snapshot_path=None)
    wait_until(lambda: client.status == "LIVE", "the client is live")
    yield client
    client.close()


def test_redis_killed_in_the_middle_loses_nothing(
    app: Flask,
    env: dict[str, str],
    own_redis: RedisServer,
    client: SwitchyardClient,
    tmp_path: Path,
) -> None:
    start = revs(app)[-1]
    with writing(env, tmp_path) as writer:
        written(writer, CHANGES // 2)
        own_redis.kill()
        assert writer.wait_for_exit(60) == 0
    arrives(client)
    own_redis.start()
    accounted_for(app, start)
    assert client.status == "LIVE"  # it never had to notice


def test_the_web_process_killed_in_the_middle_loses_nothing(
    app: Flask, env: dict[str, str], web: WebServer, client: SwitchyardClient, tmp_path: Path
) -> None:
    start = revs(app)[-1]
    with writing(env, tmp_path) as writer:
        written(writer, CHANGES // 2)
        web.kill()
        assert writer.wait_for_exit(60) == 0
    web.start()
    arrives(client)
    accounted_for(app, start)
    wait_until(lambda: client.status == "LIVE", "live again", timeout=20)


def test_both_and_the_writer_killed_leave_what_was_acknowledged(
    app: Flask,
    env: dict[str, str],
    own_redis: RedisServer,
    web: WebServer,
    client: SwitchyardClient,
    tmp_path: Path,
) -> None:
    start = revs(app)[-1]
    with writing(env, tmp_path) as writer:
        written(writer, CHANGES // 2)
        for victim in (writer, own_redis, web):
            victim.kill()
    done = len(writer.output().split())
    stored = len(revs(app)) - revs(app).index(start) - 1
    assert stored in {done, done + 1}  # the last one may have died before it said so
    own_redis.start()
    web.start()
    last = {AGENTS[number % 5]: f"m{number}" for number in range(stored)}
    wait_until(lambda: models(client) == last, f"{last}", timeout=30)


def test_what_rest_acknowledged_is_there_after_kill_9(
    app: Flask, web: WebServer, client: SwitchyardClient
) -> None:
    acknowledged: list[int] = []
    ended = threading.Event()

    def write() -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"
            for number in range(CHANGES):
                while not _saved(session, web.url, number):
                    if ended.wait(0.05):
                        return
                acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for moment in (10, 30):
            wait_until(lambda at=moment: len(acknowledged) >= at, f"{moment} saves", timeout=30)
            web.kill()
            web.start()
        wait_until(lambda: len(acknowledged) == CHANGES, "all saves", timeout=30)
    finally:
        ended.set()  # a server that does not come back must not keep the writer for ever
        writer.join(60)
    assert acknowledged == list(range(CHANGES))
    arrives(client)
    no_gap(app)


def _saved(session: requests.Session, url: str, number: int) -> bool:
    target = f"{url}/api/agents/{AGENTS[number % 5]}"
    try:
        return session.patch(target, json={"llm_model": f"m{number}"}, timeout=10).ok
    except requests.RequestException:
        return False  # killed before it answered: the same change is sent again


def writing(env: dict[str, str], folder: Path) -> "RunningWriter":
    return RunningWriter([PYTHON, "-c", WRITER, str(CHANGES)], folder / "writer.log", env)


class RunningWriter(ManagedProcess):
    """The writing process, for a ``with``."""

    def __enter__(self) -> "RunningWriter":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def written(writer: ManagedProcess, count: int) -> None:
    writer.wait_until(lambda: len(writer.output().split()) >= count, f"{count} changes", 60)


def models(client: SwitchyardClient) -> dict[str, str]:
    return {slug: client.get_agent_config(slug).model for slug in AGENTS}


def arrives(client: SwitchyardClient) -> None:
    """The final state, from the server and not from a stand-in."""
    wait_until(lambda: models(client) == FINAL, f"{FINAL}", timeout=30)
    assert {client.get_agent_config(slug).source for slug in AGENTS} == {"agent"}


def accounted_for(app: Flask, start: int) -> None:
    """Fifty changes, fifty revs, each with its rows."""
    no_gap(app)
    assert revs(app)[-1] == start + CHANGES


def no_gap(app: Flask) -> None:
    with app.app_context(), reading():
        rev = read_state().rev
    assert revs(app) == list(range(1, rev + 1))


def revs(app: Flask) -> list[int]:
    """Every rev that the log holds."""
    with app.app_context(), reading():
        return list(db.session.scalars(sa.select(Change.rev).distinct().order_by(Change.rev)))
