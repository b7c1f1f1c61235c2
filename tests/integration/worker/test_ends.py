"""A worker that is killed in the middle of its work, that is stopped, or cannot start."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.agents import agent_tests
from app.agents.agent_test_models import AgentTest
from app.agents.services import create_agent
from app.core import heartbeat
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.redis import connect
from app.providers.models import Provider, ValidationStatus
from app.webhooks import services as webhooks
from app.webhooks.models import DeliveryStatus, WebhookDelivery
from tests.integration.worker.conftest import KEY, Save, Site, on_sqlite
from tests.support.loopback_provider import LoopbackProvider
from tests.support.servers import CeleryWorker

pytestmark = pytest.mark.xdist_group("worker")


@pytest.fixture
def receiver() -> Iterator[LoopbackProvider]:
    """Of webhooks."""
    with LoopbackProvider() as receiver:
        yield receiver


def test_a_worker_killed_in_the_middle_of_a_check(
    site: Site, save: Save, endpoint: LoopbackProvider
) -> None:
    endpoint.hold()
    provider_id = save()
    endpoint.wait_for_requests(1)
    site.worker.kill()
    assert site.status(provider_id) is ValidationStatus.VALIDATING
    endpoint.answer_ok()
    expire(Provider.check_lease_until)

    site.worker.start()
    site.wait_for(provider_id, ValidationStatus.CONNECTED)


def test_a_worker_killed_in_the_middle_of_a_delivery_and_of_a_test(
    site: Site,
    endpoint: LoopbackProvider,
    receiver: LoopbackProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = {"llm_provider": "openai", "llm_model": "m", "llm_endpoint": endpoint.openai_url}
    agent, _ = create_agent({"name": "Trader", **step, "llm_api_key": KEY})
    # Not the alerts of providers: tests of a webhook come anyway.
    url = f"{receiver.openai_url}/chat/completions"
    wanted = {"name": "pager", "url": url, "events": ["budget.warn"]}
    webhook_id = webhooks.create_webhook(wanted)[0].id
    endpoint.hold()
    receiver.hold()
    webhooks.request_test(webhook_id)
    test_id = agent_tests.request_test(agent).id
    db.session.rollback()
    endpoint.wait_for_requests(1)
    receiver.wait_for_requests(1)
    site.worker.kill()
    assert deliveries() == [DeliveryStatus.PENDING]
    endpoint.answer_ok()
    receiver.answer_ok()
    expire(WebhookDelivery.lease_until)
    expire(AgentTest.lease_until)
    with monkeypatch.context() as lost:
        lost.setattr(site.app.extensions["publisher"], "nudge", lambda *_: None)
        webhooks.request_test(webhook_id)
        db.session.rollback()

    site.worker.start()
    site.worker.wait_until(lambda: {*deliveries()} == {DeliveryStatus.DELIVERED}, "deliveries")
    site.worker.wait_until(lambda: steps(test_id)[0]["status"] == "ok", "the test is done")

    first, again, other = (it.headers["webhook-id"] for it in receiver.requests)
    assert first == again != other
    assert steps(test_id)[0]["answered_model"] == "m"
    assert len(endpoint.requests) == 2
    assert KEY not in site.worker.output()


@on_sqlite
def test_a_stopped_worker_takes_its_sign_of_life_back(site: Site) -> None:
    with connect(site.redis.url) as client:
        client.flushall()  # those of workers that were killed stay until they run out
        site.worker.wait_until(lambda: heartbeat.is_alive(client), "a sign of life")
        site.worker.stop()
        assert site.worker.popen.returncode == 0
        assert not heartbeat.is_alive(client)
    site.worker.start()


@on_sqlite
def test_a_wrong_setting_stops_the_worker_and_is_named(site: Site, tmp_path: Path) -> None:
    env = site.worker.env | {"ENCRYPTION_KEYS": "no-fernet-key"}
    worker = CeleryWorker(tmp_path / "worker.log", env)

    with pytest.raises(AssertionError, match="exit code 1"):
        worker.start()

    assert "ENCRYPTION_KEYS: " in worker.output()
    assert "no-fernet-key" not in worker.output()


def expire(lease: sa.orm.InstrumentedAttribute[Any]) -> None:
    """As if the time that a dead worker's jobs are left alone were over."""
    table = lease.class_.__table__
    leased = table.c[lease.key].is_not(None)
    db.session.execute(sa.update(table).where(leased).values({lease.key: utcnow()}))
    commit()


def deliveries() -> list[DeliveryStatus]:
    found = list(db.session.scalars(sa.select(WebhookDelivery.status)))
    db.session.rollback()
    return found


def steps(test_id: int) -> Any:
    """What has become of each step of a test by now."""
    found = agent_tests.get_test(test_id).steps
    db.session.rollback()
    return found
