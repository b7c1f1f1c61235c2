"""Alerts: what checks of a provider announce."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.http import Outbound
from app.health.damping import WINDOW
from app.health.models import ProviderAlert
from app.health.services import request_check
from app.providers.models import Provider, ValidationStatus
from app.providers.services import create_provider, update_provider
from app.webhooks.models import WebhookDelivery
from app.webhooks.services import create_webhook
from tests.support.checks import run_check
from tests.support.loopback_provider import LoopbackProvider

Check = Callable[[bool], list[str]]


@pytest.fixture
def check(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """``check(True)``: check a provider that is well; the types announced so far."""
    monkeypatch.setattr(app.extensions["publisher"], "nudge", lambda *_: None)
    with app.app_context(), LoopbackProvider() as endpoint:
        app.extensions["outbound"] = Outbound([endpoint.address], deadline=60)
        create_webhook({"name": "all", "url": "https://hooks.example.com"})
        body = {"name": "loop", "type": "openai", "base_url": endpoint.openai_url, "api_key": "k"}
        provider_id = create_provider(body).id

        def check(is_well: bool) -> list[str]:
            endpoint.answer_ok() if is_well else endpoint.answer_status(503)
            request_check(provider_id)
            assert run_check(provider_id)
            return [row.event for row in announced()]

        yield check


def announced() -> list[WebhookDelivery]:
    """What is in the outbox, oldest first."""
    query = sa.select(WebhookDelivery).order_by(WebhookDelivery.id)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def loop_id() -> int:
    return db.session.scalars(sa.select(Provider.id).where(Provider.name == "loop")).one()


def test_a_turn_is_announced_once(check: Check) -> None:
    assert check(True) == []
    assert check(False) == ["provider.down"]
    assert check(False) == ["provider.down"]
    assert check(True) == ["provider.down", "provider.up"]
    down, up = (row.data for row in announced())
    assert down["status"] == "error"
    assert down["provider"]["name"] == "loop"
    assert "503" in down["error"]
    assert down["message"] == f"The provider loop is down: {down['error']}"
    assert (up["status"], up["error"]) == ("connected", None)
    assert up["message"] == "The provider loop is up."
    assert (down["agents"], down["agent_count"]) == ([], 0)


def test_a_first_failure_is_announced_and_a_save_forgets_nothing(check: Check) -> None:
    assert check(False) == ["provider.down"]
    provider = update_provider(loop_id(), {"api_key": "another"})
    assert provider.settled_status is ValidationStatus.PENDING
    assert check(True) == ["provider.down", "provider.up"]


def test_flapping_is_said_once_and_then_where_it_came_to_rest(app: Flask, check: Check) -> None:
    for is_well in (False, True, False, True, False, True):
        told = check(is_well)
    assert told == ["provider.down", "provider.up", "provider.down", "provider.flapping"]
    assert "flapping" in announced()[-1].data["message"]

    interval = timedelta(seconds=app.config["HEALTH_CHECK_INTERVAL"])
    state = db.session.scalars(sa.select(ProviderAlert)).one()
    state.turns = [(utcnow() - WINDOW * interval).isoformat()]
    commit()
    assert check(True)[4:] == ["provider.up"]
    assert check(True)[4:] == ["provider.up"]


def test_an_inactive_provider_wakes_nobody(check: Check) -> None:
    assert check(True) == []
    update_provider(loop_id(), {"is_active": False})
    assert check(False) == []
    update_provider(loop_id(), {"is_active": True})
    assert check(False) == ["provider.down"]
