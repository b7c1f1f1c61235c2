"""A real Celery worker on a real Redis: from a save to its check, whatever dies in between."""

import base64
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from celery import Celery
from flask import Flask

from app.agents.models import Agent, LLMConfig
from app.core import heartbeat
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.redis import broker_url, connect
from app.health import services
from app.providers.models import Provider, ValidationStatus
from app.providers.services import create_provider, update_provider
from tests.conftest import close_app, make_app
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until
from tests.support.servers import (
    CeleryWorker,
    RedisServer,
    celery_worker,
    redis_server,
    server_env,
)

KEY = "canary-5b0e-not-shaped-like-any-key"
QUEUE = "celery"

# Where Redis or Celery is what is tried, one database will do.
on_sqlite = pytest.mark.parametrize("backend", ["sqlite"])

StartWorker = Callable[..., AbstractContextManager[CeleryWorker]]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may flush and kill."""
    with redis_server() as server:
        yield server


@pytest.fixture
def app(database_url: str, own_redis: RedisServer) -> Iterator[Flask]:
    """The door that the saves come through."""
    app = make_app(database_url, own_redis.url)
    with app.app_context():
        done = {"validation_status": ValidationStatus.CONNECTED, "last_checked_at": utcnow()}
        db.session.execute(sa.update(Provider.__table__).values(**done))
        commit()
        yield app
    close_app(app)


@pytest.fixture
def endpoint() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as endpoint:
        yield endpoint


@pytest.fixture
def worker(
    app: Flask, own_redis: RedisServer, endpoint: LoopbackProvider, tmp_path: Path
) -> StartWorker:
    """``with worker(beat=True):`` a worker beside the app."""
    env = server_env(
        tmp_path,
        DATABASE_URL=app.config["DATABASE_URL"],
        REDIS_URL=own_redis.url,
        OUTBOUND_ALLOW=endpoint.address,
        LOG_LEVEL="DEBUG",
    )
    return partial(celery_worker, env, tmp_path / "worker.log")


@pytest.fixture
def save(endpoint: LoopbackProvider) -> Callable[..., int]:
    """Save a provider that points at the endpoint; answers its id."""

    def save(name: str = "loop") -> int:
        body = {"name": name, "type": "openai", "base_url": endpoint.openai_url, "api_key": KEY}
        provider_id = create_provider(body).id
        db.session.rollback()
        return provider_id

    return save


def status(provider_id: int) -> ValidationStatus | None:
    query = sa.select(Provider.validation_status).where(Provider.id == provider_id)
    found = db.session.scalar(query)
    db.session.rollback()
    return found


def wait_for(provider_id: int, expected: ValidationStatus, timeout: float = 15) -> None:
    wait_until(lambda: status(provider_id) is expected, f"the provider is {expected}", timeout)


def forget_nudges(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every nudge were lost between the commit and Redis."""
    monkeypatch.setattr(app.extensions["publisher"], "nudge", lambda *_: None)


def test_a_save_is_checked_without_a_beat(
    worker: StartWorker, save: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    with worker():
        provider_id = save()
        wait_for(provider_id, ValidationStatus.CONNECTED)
        endpoint.answer_status(503)
        services.request_check(provider_id)
        wait_for(provider_id, ValidationStatus.ERROR)

    assert len(endpoint.requests) == 2


def test_a_lost_nudge_is_found_by_the_sweep(
    app: Flask,
    worker: StartWorker,
    save: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget_nudges(app, monkeypatch)
    with worker(beat=True):
        wait_for(save(), ValidationStatus.CONNECTED)


@on_sqlite
def test_a_flushed_redis_loses_nothing(
    worker: StartWorker, save: Callable[..., int], own_redis: RedisServer
) -> None:
    before = save("before")
    with own_redis.client() as client:
        wait_until(lambda: client.llen(QUEUE), "the nudge is queued")
        client.flushall()
    with worker(beat=True):
        wait_for(before, ValidationStatus.CONNECTED)
        with own_redis.client() as client:
            client.flushall()
        wait_for(save("after"), ValidationStatus.CONNECTED)


@on_sqlite
def test_a_redis_that_dies_and_returns_loses_nothing(
    worker: StartWorker, save: Callable[..., int], own_redis: RedisServer
) -> None:
    with worker(beat=True):
        own_redis.kill()
        provider_id = save()
        assert status(provider_id) is ValidationStatus.PENDING
        own_redis.start()
        wait_for(provider_id, ValidationStatus.CONNECTED, timeout=30)


@on_sqlite
def test_a_redis_that_hangs_holds_up_no_save_and_loses_nothing(
    worker: StartWorker, save: Callable[..., int], own_redis: RedisServer
) -> None:
    with worker(beat=True) as running:
        own_redis.send(signal.SIGSTOP)
        began = time.monotonic()
        provider_id = save()
        assert time.monotonic() - began < 1
        running.wait_until(lambda: "no heartbeat" in running.output(), "the worker notices")
        own_redis.send(signal.SIGCONT)
        wait_for(provider_id, ValidationStatus.CONNECTED, timeout=30)
        assert running.running, "it went on, rather than being started again"


@on_sqlite
def test_a_redis_that_dies_in_the_middle_of_a_check(
    worker: StartWorker,
    save: Callable[..., int],
    endpoint: LoopbackProvider,
    own_redis: RedisServer,
) -> None:
    endpoint.hold()
    with worker(beat=True) as running:
        first = save("first")
        endpoint.wait_for_requests(1)
        own_redis.kill()
        endpoint.release()
        wait_for(first, ValidationStatus.CONNECTED)
        second = save("second")
        own_redis.start()
        wait_for(second, ValidationStatus.CONNECTED, timeout=30)
        assert running.running, "it went on, rather than being started again"


def test_a_worker_killed_in_the_middle_of_a_check(
    worker: StartWorker, save: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    endpoint.hold()
    with worker() as killed:
        provider_id = save()
        endpoint.wait_for_requests(1)
        killed.kill()
    assert status(provider_id) is ValidationStatus.VALIDATING
    endpoint.answer_ok()
    expire_lease(provider_id)

    with worker(beat=True):
        wait_for(provider_id, ValidationStatus.CONNECTED)


def test_a_save_in_the_middle_of_a_check_wins(
    worker: StartWorker, save: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    endpoint.hold()
    with worker() as running:
        provider_id = save()
        endpoint.wait_for_requests(1)
        update_provider(provider_id, {"api_key": "canary-wrong"})
        db.session.rollback()
        endpoint.wait_for_requests(2)
        endpoint.release()
        wait_for(provider_id, ValidationStatus.ERROR)
        running.wait_until(lambda: "void check" in running.output(), "the first result is ignored")

    assert status(provider_id) is ValidationStatus.ERROR


def test_two_workers_check_once(
    worker: StartWorker, save: Callable[..., int], endpoint: LoopbackProvider, app: Flask
) -> None:
    endpoint.hold()
    with worker(beat=True), worker(beat=True):
        provider_id = save()
        for _ in range(10):
            app.extensions["publisher"].nudge("health.check", provider_id)
        endpoint.wait_for_requests(1)
        endpoint.release()
        wait_for(provider_id, ValidationStatus.CONNECTED)

    assert len(endpoint.requests) == 1


@on_sqlite
def test_the_key_is_in_no_message_and_no_log(
    worker: StartWorker,
    save: Callable[..., int],
    endpoint: LoopbackProvider,
    own_redis: RedisServer,
) -> None:
    provider_id = save()
    with own_redis.client() as client:
        wait_until(lambda: client.llen(QUEUE), "the nudge is queued")
        message = client.lindex(QUEUE, 0)
    assert KEY not in message
    arguments = json.loads(base64.b64decode(json.loads(message)["body"]))[0]
    assert arguments == [provider_id]

    with worker() as running:
        wait_for(provider_id, ValidationStatus.CONNECTED)
        for misbehave in (endpoint.answer_html, endpoint.hang_up, endpoint.answer_huge):
            misbehave()
            services.request_check(provider_id)
            wait_for(provider_id, ValidationStatus.ERROR)
    assert len(endpoint.requests) == 4
    assert KEY not in running.output()


@on_sqlite
def test_a_worker_shows_that_it_lives(worker: StartWorker, own_redis: RedisServer) -> None:
    with connect(own_redis.url) as client:
        assert not heartbeat.is_alive(client)
        with worker() as running:
            wait_until(lambda: heartbeat.is_alive(client), "the heartbeat")
            client.flushall()
            wait_until(lambda: heartbeat.is_alive(client), "the heartbeat is back")
            [name] = client.scan_iter(match=heartbeat.PREFIX + "*")
            assert 0 < client.ttl(name) <= heartbeat.TTL
            running.stop()
        assert not heartbeat.is_alive(client)


@pytest.mark.parametrize(
    ("name", "value"), [("ENCRYPTION_KEYS", "no-fernet-key"), ("OUTBOUND_ALLOW", "no-port")]
)
def test_a_wrong_setting_stops_the_worker_and_is_named(
    own_redis: RedisServer, tmp_path: Path, name: str, value: str
) -> None:
    env = server_env(tmp_path, REDIS_URL=own_redis.url, **{name: value})
    worker = CeleryWorker(tmp_path / "worker.log", env)

    with pytest.raises(AssertionError, match="exit code 1"):
        worker.start()

    assert f"{name}: " in worker.output()
    assert "no-fernet-key" not in worker.output()


@on_sqlite
def test_the_seed_runs_as_a_job(app: Flask, worker: StartWorker, own_redis: RedisServer) -> None:
    for table in (LLMConfig.__table__, Agent.__table__, Provider.__table__):
        db.session.execute(sa.delete(table))
    commit()

    with worker(), Celery(broker=broker_url(own_redis.url)) as sender:
        sender.send_task("transfer.seed", ignore_result=True)
        wait_until(lambda: _default_agents() == ["default"], "the default agent is seeded")


def _default_agents() -> list[str]:
    slugs: list[Any] = list(db.session.scalars(sa.select(Agent.agent_id)))
    db.session.rollback()
    return slugs


def expire_lease(provider_id: int) -> None:
    table = Provider.__table__
    lease = {"check_lease_until": utcnow()}
    db.session.execute(sa.update(table).where(table.c.id == provider_id).values(**lease))
    commit()
