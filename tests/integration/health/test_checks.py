"""Checks of providers, on both databases, against a provider on the loopback."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.changes.models import Change
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.errors import NotFound
from app.core.http import Outbound
from app.health import services
from app.health.models import ProviderCheck
from app.providers.adapters import ProbeResult
from app.providers.models import Provider
from app.providers.services import delete_provider, update_provider
from tests.integration.health.conftest import (
    CONNECTED,
    ERROR,
    KEY,
    PENDING,
    VALIDATING,
    age,
    read,
    rev,
)
from tests.support.loopback_provider import LoopbackProvider


def test_a_good_check_connects(make: Callable[..., int], endpoint: LoopbackProvider) -> None:
    provider_id = make()
    assert read(provider_id).validation_status is PENDING

    assert services.run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is CONNECTED
    assert provider.settled_status is CONNECTED
    assert provider.models == endpoint.models
    assert provider.last_error is None
    assert provider.last_checked_at is not None
    assert provider.latency_ms is not None
    assert (provider.check_id, provider.check_lease_until) == (None, None)
    check = db.session.scalars(services.checks_query(provider_id)).one()
    assert (check.status, check.http_status, check.model_count) == (CONNECTED, 200, 2)
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_bad_check_says_why_and_keeps_the_models(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    services.run_check(provider_id)
    endpoint.answer_status(401)

    services.request_check(provider_id)
    services.run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is ERROR
    assert provider.last_error == "The key was refused (HTTP 401)."
    assert provider.models == endpoint.models
    newest, oldest = db.session.scalars(services.checks_query(provider_id)).all()
    assert (newest.status, newest.http_status, newest.model_count) == (ERROR, 401, None)
    assert oldest.status is CONNECTED


def test_only_a_turn_is_a_change(make: Callable[..., int], endpoint: LoopbackProvider) -> None:
    provider_id = make()
    before, version = rev(), read(provider_id).version

    services.run_check(provider_id)
    assert rev() == before + 1
    services.request_check(provider_id)
    services.run_check(provider_id)
    assert rev() == before + 1
    endpoint.answer_status(500)
    services.request_check(provider_id)
    services.run_check(provider_id)

    assert rev() == before + 2
    assert read(provider_id).version == version
    change = db.session.scalars(sa.select(Change).where(Change.rev == before + 2)).one()
    assert change.operation == "status"
    assert change.diff == {"settled_status": ["connected", "error"]}


def test_a_check_that_is_not_due_is_not_run(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    services.run_check(provider_id)

    assert not services.run_check(provider_id)
    assert not services.run_check(provider_id + 1000)
    assert len(endpoint.requests) == 1


def test_two_workers_run_one_check(
    app: Flask, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    endpoint.hold()
    outcomes: list[bool] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        with app.app_context():
            barrier.wait(5)
            outcomes.append(services.run_check(provider_id))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    endpoint.wait_for_requests(1)
    endpoint.release()
    for thread in threads:
        thread.join(10)

    assert sorted(outcomes) == [False] * 5 + [True]
    assert len(endpoint.requests) == 1
    assert read(provider_id).validation_status is CONNECTED


def test_no_connection_is_held_while_the_provider_takes_its_time(
    app: Flask, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    db.session.remove()
    endpoint.hold()
    thread = threading.Thread(target=_run_check, args=(app, provider_id))
    thread.start()
    endpoint.wait_for_requests(1)

    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert read(provider_id).validation_status is VALIDATING
    endpoint.release()
    thread.join(10)
    assert read(provider_id).validation_status is CONNECTED


def test_a_save_during_a_check_voids_its_result(
    app: Flask, make: Callable[..., int], endpoint: LoopbackProvider, nudges: list[Any]
) -> None:
    provider_id = make()
    endpoint.hold()
    thread = threading.Thread(target=_run_check, args=(app, provider_id))
    thread.start()
    endpoint.wait_for_requests(1)

    update_provider(provider_id, {"api_key": "sk-another"})
    endpoint.release()
    thread.join(10)

    provider = read(provider_id)
    assert provider.validation_status is PENDING
    assert provider.last_checked_at is None
    assert db.session.scalars(services.checks_query(provider_id)).all() == []
    services.run_check(provider_id)
    assert read(provider_id).last_error == "The key was refused (HTTP 401)."


def test_a_provider_deleted_during_its_check_is_no_error(make: Callable[..., int]) -> None:
    provider_id = make()
    claim = services.claim_check(provider_id, utcnow())
    assert claim is not None

    delete_provider(provider_id)

    assert not services.record_result(claim, ProbeResult(True, 200), 1)


def test_a_claim_is_a_lease(make: Callable[..., int]) -> None:
    provider_id = make()
    now = utcnow()
    first = services.claim_check(provider_id, now)
    assert first is not None

    lease = timedelta(seconds=2) + services.CLAIM_MARGIN
    assert services.claim_check(provider_id, now + lease - timedelta(seconds=1)) is None
    second = services.claim_check(provider_id, now + lease)

    assert second is not None
    assert not services.record_result(first, ProbeResult(False, 500, error="late"), 1)
    assert read(provider_id).validation_status is VALIDATING
    assert services.record_result(second, ProbeResult(True, 200), 1)
    assert read(provider_id).validation_status is CONNECTED


def test_the_sweep_queues_what_a_lost_nudge_left_and_only_once(
    make: Callable[..., int], nudges: list[tuple[str, Any]]
) -> None:
    provider_id = make()
    nudges.clear()

    assert services.sweep() == 1
    assert services.sweep() == 0

    assert nudges == [("health.check", provider_id)]
    age(provider_id, check_lease_until=utcnow())
    assert services.sweep() == 1
    assert services.run_check(provider_id)
    assert services.sweep() == 0


def test_the_sweep_finds_a_check_whose_worker_died(
    make: Callable[..., int], nudges: list[tuple[str, Any]]
) -> None:
    provider_id = make()
    dead = services.claim_check(provider_id, utcnow())
    assert dead is not None
    nudges.clear()
    assert services.sweep() == 0

    age(provider_id, check_lease_until=utcnow())

    assert services.sweep() == 1
    assert nudges == [("health.check", provider_id)]
    assert not services.record_result(dead, ProbeResult(True, 200), 1)
    assert services.run_check(provider_id)
    assert read(provider_id).validation_status is CONNECTED


def test_the_sweep_finds_those_whose_time_has_come(
    make: Callable[..., int], nudges: list[tuple[str, Any]]
) -> None:
    due, recent, resting = make("due"), make("recent"), make("resting", is_active=False)
    for provider_id in (due, recent, resting):
        assert services.run_check(provider_id)
    age(due, next_check_at=utcnow())
    age(resting, next_check_at=utcnow())
    nudges.clear()

    services.sweep()

    assert nudges == [("health.check", due)]


def test_a_missing_key_is_said_and_nothing_is_sent(
    make: Callable[..., int], endpoint: LoopbackProvider, nudges: list[tuple[str, Any]]
) -> None:
    provider_id = make(api_key=None)

    assert not services.run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is PENDING
    assert provider.last_error == services.NO_KEY
    assert services.sweep() == 0, "looked at again all the time"
    assert endpoint.requests == []
    update_provider(provider_id, {"api_key": KEY})
    assert services.run_check(provider_id)
    assert read(provider_id).validation_status is CONNECTED


def test_a_lost_key_takes_the_status_back(
    make: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider_id = make(api_key=None)
    assert services.run_check(provider_id)
    monkeypatch.delenv("OPENAI_API_KEY")
    age(provider_id, next_check_at=utcnow())

    services.run_check(provider_id)

    provider = read(provider_id)
    assert (provider.validation_status, provider.settled_status) == (PENDING, PENDING)


def test_the_servers_key_stands_in_and_the_providers_own_goes_first(
    make: Callable[..., int], endpoint: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    endpoint.key = None

    services.run_check(make("without", api_key=None))
    services.run_check(make("with"))

    sent = [request.headers["authorization"] for request in endpoint.requests]
    assert sent == ["Bearer sk-server", f"Bearer {KEY}"]


def test_a_type_that_needs_no_key_is_checked_without(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    endpoint.key = None
    provider_id = make(type="ollama", base_url=endpoint.ollama_url, api_key=None)

    assert services.run_check(provider_id)
    assert read(provider_id).validation_status is CONNECTED


def test_a_key_that_does_not_open_must_be_entered_again(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    table = Provider.__table__
    sealed = {"api_key_sealed": "gAAAAAforeign"}
    db.session.execute(sa.update(table).where(table.c.id == provider_id).values(**sealed))
    commit()

    assert services.run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is ERROR
    assert provider.last_error is not None
    assert "must be entered again" in provider.last_error
    assert endpoint.requests == []


def test_an_address_that_is_not_allowed_is_an_error(
    app: Flask, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    app.extensions["outbound"] = Outbound()
    provider_id = make()

    services.run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is ERROR
    assert provider.last_error is not None
    assert "OUTBOUND_ALLOW" in provider.last_error
    assert endpoint.requests == []


def test_an_adapters_bug_leaves_nothing_validating(
    make: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError(f"with {KEY}")

    monkeypatch.setattr("app.providers.adapters.openai.OpenAIAdapter.probe", explode)
    provider_id = make()

    assert services.run_check(provider_id)

    assert read(provider_id).last_error == "The check itself failed (RuntimeError)."
    assert KEY not in caplog.text


def test_a_reason_of_any_length_is_stored(make: Callable[..., int]) -> None:
    provider_id = make(base_url="http://" + "a" * 1900 + ".example/v1")

    assert services.run_check(provider_id)
    assert len(read(provider_id).last_error or "") <= 500


def test_the_history_is_bounded(make: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "KEEP_CHECKS", 3)
    provider_id, other = make("loop"), make("other")
    services.run_check(other)
    for _ in range(5):
        services.request_check(provider_id)
        services.run_check(provider_id)
    assert len(db.session.scalars(services.checks_query(provider_id)).all()) == 3

    db.session.execute(sa.update(ProviderCheck).values(started_at=utcnow() - timedelta(days=31)))
    commit()
    services.request_check(provider_id)
    services.run_check(provider_id)

    assert len(db.session.scalars(services.checks_query(provider_id)).all()) == 1
    assert len(db.session.scalars(services.checks_query(other)).all()) == 1


def test_a_request_takes_the_status_back_and_nudges(
    make: Callable[..., int], nudges: list[tuple[str, Any]]
) -> None:
    provider_id = make()
    services.run_check(provider_id)
    nudges.clear()

    provider = services.request_check(provider_id)

    assert provider.validation_status is PENDING
    assert nudges == [("health.check", provider_id)]
    with pytest.raises(NotFound):
        services.request_check(provider_id + 1000)


def _run_check(app: Flask, provider_id: int) -> None:
    with app.app_context():
        services.run_check(provider_id)
