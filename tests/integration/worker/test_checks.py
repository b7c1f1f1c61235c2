"""From a save to its check, by a real Celery worker."""

import base64
import json
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from celery import Celery

from app.agents.models import Agent, LLMConfig
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.redis import broker_url
from app.health import services
from app.health.models import ProviderCheck
from app.providers.models import Provider, ValidationStatus
from app.providers.services import update_provider
from tests.integration.worker.conftest import (
    KEY,
    QUEUE,
    Save,
    Site,
    on_postgresql,
    on_sqlite,
    taking_nothing,
)
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import running, wait_until

pytestmark = pytest.mark.xdist_group("worker")

CONNECTED, ERROR = ValidationStatus.CONNECTED, ValidationStatus.ERROR
PROVIDERS, SLOTS = 100, 2
TABLE = Provider.__table__


def test_a_save_is_checked_at_once(site: Site, save: Save, endpoint: LoopbackProvider) -> None:
    nudges = site.worker.output().count("Task health.check[")
    provider_id = save()
    site.wait_for(provider_id, CONNECTED)
    endpoint.answer_status(503)
    services.request_check(provider_id)
    site.wait_for(provider_id, ERROR)

    assert len(endpoint.requests) == 2
    site.wait_for_log("Task health.check[", "both nudges came", nudges + 2)


def test_a_lost_nudge_is_found_by_the_sweep(
    site: Site, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.app.extensions["publisher"], "nudge", lambda *_: None)
    site.wait_for(save(), CONNECTED)


def test_a_save_in_the_middle_of_a_check_wins(
    site: Site, save: Save, endpoint: LoopbackProvider
) -> None:
    void = site.worker.output().count("void check")
    endpoint.hold()
    provider_id = save()
    endpoint.wait_for_requests(1)
    update_provider(provider_id, {"api_key": "canary-wrong"})
    db.session.rollback()
    endpoint.wait_for_requests(2)
    endpoint.release()
    site.wait_for(provider_id, ERROR)
    site.wait_for_log("void check", "the first result is ignored", void + 1)

    assert site.status(provider_id) is ERROR


@on_sqlite
def test_the_key_is_in_no_message_and_no_log(
    site: Site, save: Save, endpoint: LoopbackProvider
) -> None:
    with taking_nothing(site):
        provider_id = save()
        with site.redis.client() as client:
            message = str(wait_until(lambda: client.lindex(QUEUE, 0), "the nudge is queued"))
    assert KEY not in message
    arguments = json.loads(base64.b64decode(json.loads(message)["body"]))[0]
    assert arguments == [provider_id]

    site.wait_for(provider_id, CONNECTED)
    for misbehave in (endpoint.answer_html, endpoint.hang_up, endpoint.answer_huge):
        misbehave()
        services.request_check(provider_id)
        site.wait_for(provider_id, ERROR)
    assert len(endpoint.requests) == 4
    assert KEY not in site.worker.output()


@on_postgresql  # where two workers really write at once
def test_two_workers_and_two_beats_make_one_check_a_slot(
    site: Site, endpoint: LoopbackProvider, tmp_path: Path
) -> None:
    add_providers(endpoint.openai_url)
    with running(site.another_worker(tmp_path / "second.log")) as second:
        for slot in range(1, SLOTS + 1):
            begin_slot()
            for number in range(5):  # more to look at it at once than the beats alone
                site.app.extensions["publisher"].nudge("health.check", number)
            second.wait_until(
                lambda slot=slot: checks().total() >= slot * PROVIDERS, f"slot {slot}"
            )
        assert site.worker.running
    # One has ended, and what it had begun with it; so has what the other one had.
    site.worker.wait_until(lambda: under_way() == 0, "every check is over")
    assert set(checks().values()) == {SLOTS}
    assert len(endpoint.requests) == SLOTS * PROVIDERS


def test_the_seed_runs_as_a_job(site: Site) -> None:
    for table in (LLMConfig.__table__, Agent.__table__, TABLE):
        db.session.execute(sa.delete(table))
    commit()

    with Celery(broker=broker_url(site.redis.url)) as sender:
        sender.send_task("transfer.seed", ignore_result=True)
        site.worker.wait_until(lambda: default_agents() == ["default"], "the default agent")


def add_providers(base_url: str) -> None:
    """Providers that are in good health, and are checked once an hour."""
    now = utcnow()
    row = {"type": "vllm", "base_url": base_url, "check_interval": 3600, "last_checked_at": now}
    states = dict.fromkeys(("validation_status", "settled_status"), CONNECTED)
    rows = [row | states | {"name": f"p{number}"} for number in range(PROVIDERS)]
    db.session.execute(sa.insert(TABLE), rows)
    commit()


def begin_slot() -> None:
    """It is time for all of them; a sweep of either worker's will come upon that."""
    mine = TABLE.c.check_interval == 3600
    db.session.execute(sa.update(TABLE).where(mine).values(next_check_at=utcnow()))
    commit()


def checks() -> Counter[int]:
    """How many checks each provider has had."""
    query = (
        sa.select(ProviderCheck.provider_id).join(Provider).where(Provider.check_interval == 3600)
    )
    found = Counter(db.session.scalars(query))
    db.session.rollback()
    return found


def under_way() -> int:
    """How many checks have begun and not ended."""
    query = sa.select(sa.func.count()).where(Provider.check_id.is_not(None))
    found = db.session.scalar(query)
    db.session.rollback()
    return found or 0


def default_agents() -> list[str]:
    slugs = list(db.session.scalars(sa.select(Agent.agent_id)))
    db.session.rollback()
    return slugs
