"""A test of an agent by a real worker: found by itself when its worker is killed in the middle."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.agents.agent_test_models import AgentTest
from app.core.clock import utcnow
from app.core.db import commit, db
from tests.conftest import Api, close_app, make_app
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until
from tests.support.servers import CeleryWorker, RedisServer, celery_worker, redis_server, server_env

KEY = "canary-91d2-not-shaped-like-any-key"

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis without the jobs of other tests."""
    with redis_server() as server:
        yield server


@pytest.fixture
def app(database_url: str, own_redis: RedisServer) -> Iterator[Flask]:
    app = make_app(database_url, own_redis.url)
    yield app
    close_app(app)


@pytest.fixture
def endpoint() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(key=KEY) as endpoint:
        yield endpoint


def test_a_worker_that_is_killed_in_the_middle_loses_no_test(
    app: Flask, api: Api, own_redis: RedisServer, endpoint: LoopbackProvider, tmp_path: Path
) -> None:
    env = server_env(
        tmp_path,
        DATABASE_URL=app.config["DATABASE_URL"],
        REDIS_URL=own_redis.url,
        OUTBOUND_ALLOW=endpoint.address,
        LOG_LEVEL="DEBUG",
    )
    worker: partial[AbstractContextManager[CeleryWorker]] = partial(
        celery_worker, env, tmp_path / "worker.log"
    )
    step = {"llm_provider": "openai", "llm_model": "m", "llm_endpoint": endpoint.openai_url}
    assert api("POST", "/agents", {"name": "Trader", **step, "llm_api_key": KEY}).status_code == 201

    endpoint.hold()
    with worker() as killed:
        answer = api("POST", "/agents/trader/test")
        assert answer.status_code == 202
        wait_until(lambda: _called(endpoint), "the call")
        killed.kill()
    endpoint.answer_ok()
    with app.app_context():
        db.session.execute(sa.update(AgentTest).values(lease_until=utcnow()))
        commit()

    with worker(beat=True) as second:
        place = answer.headers["Location"].removeprefix("/api")
        body: Any = wait_until(lambda: _done(api, place), "the test is done", timeout=30)
    assert (body["ok"], body["steps"][0]["status"]) == (True, "ok")
    assert body["steps"][0]["answered_model"] == "m"
    assert len(_called(endpoint)) == 2
    assert KEY not in second.output()


def _called(endpoint: LoopbackProvider) -> list[str]:
    """The completions that were asked for: checks of the provider go on beside."""
    return [request.path for request in endpoint.requests if request.method == "POST"]


def _done(api: Api, place: str) -> Any:
    body = api("GET", place).json
    return body if body["status"] == "done" else None
