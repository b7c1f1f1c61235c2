"""A real worker delivers: whatever dies or is lost in between."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db
from app.webhooks import services
from app.webhooks.models import DeliveryStatus, WebhookDelivery
from tests.conftest import close_app, make_app
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until
from tests.support.servers import CeleryWorker, RedisServer, celery_worker, redis_server, server_env

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])  # the worker is what is tried

StartWorker = Callable[..., AbstractContextManager[CeleryWorker]]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def app(database_url: str, own_redis: RedisServer) -> Iterator[Flask]:
    app = make_app(database_url, own_redis.url)
    with app.app_context():
        yield app
    close_app(app)


@pytest.fixture
def receiver() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as receiver:
        yield receiver


@pytest.fixture
def worker(
    app: Flask, own_redis: RedisServer, receiver: LoopbackProvider, tmp_path: Path
) -> StartWorker:
    env = server_env(
        tmp_path,
        DATABASE_URL=app.config["DATABASE_URL"],
        REDIS_URL=own_redis.url,
        OUTBOUND_ALLOW=receiver.address,
    )
    return partial(celery_worker, env, tmp_path / "worker.log")


def statuses() -> list[DeliveryStatus]:
    query = sa.select(WebhookDelivery.status).order_by(WebhookDelivery.id)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def test_a_killed_worker_and_a_lost_nudge_lose_nothing(
    app: Flask,
    worker: StartWorker,
    receiver: LoopbackProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"{receiver.openai_url}/chat/completions"
    # Not the seeded provider's alert: tests of a webhook come anyway.
    wanted = {"name": "pager", "url": url, "events": ["budget.warn"]}
    webhook_id = services.create_webhook(wanted)[0].id
    receiver.hold()
    with worker() as killed:
        services.request_test(webhook_id)
        receiver.wait_for_requests(1, timeout=30)
        killed.kill()
    assert statuses() == [DeliveryStatus.PENDING]
    receiver.answer_ok()
    db.session.execute(sa.update(WebhookDelivery).values(lease_until=utcnow()))
    monkeypatch.setattr(app.extensions["publisher"], "nudge", lambda *_: None)
    services.request_test(webhook_id)
    commit()

    with worker(beat=True):
        wait_until(lambda: {*statuses()} == {DeliveryStatus.DELIVERED}, "all is delivered", 40)

    first, again, other = (it.headers["webhook-id"] for it in receiver.requests)
    assert first == again != other
