"""Checks of providers, on both databases, against a provider on the loopback."""

import json
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
from app.health import claims, results
from app.health.models import ProviderCheck
from app.health.prober import Prober
from app.health.services import request_check
from app.providers.adapters import CallResult, ProbeResult
from app.providers.models import Provider
from app.providers.services import delete_provider, update_provider
from tests.integration.health.conftest import (
    CONNECTED,
    DEADLINE,
    ERROR,
    KEY,
    PENDING,
    VALIDATING,
    age,
    claim,
    read,
    record,
    rev,
)
from tests.support.checks import run_check
from tests.support.loopback_provider import LoopbackProvider


def test_a_good_check_connects(make: Callable[..., int], endpoint: LoopbackProvider) -> None:
    provider_id = make()
    assert read(provider_id).validation_status is PENDING

    assert run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is CONNECTED
    assert provider.settled_status is CONNECTED
    assert provider.models == endpoint.models
    assert provider.last_error is None
    assert provider.last_checked_at is not None
    assert provider.latency_ms is not None
    assert (provider.check_id, provider.check_lease_until) == (None, None)
    check = db.session.scalars(results.checks_query(provider_id)).one()
    assert (check.status, check.http_status, check.model_count) == (CONNECTED, 200, 2)
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_bad_check_says_why_and_keeps_the_models(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    run_check(provider_id)
    endpoint.answer_status(401)

    request_check(provider_id)
    run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is ERROR
    assert provider.last_error == "The key was refused (HTTP 401). It says: told to"
    assert provider.models == endpoint.models
    newest, oldest = db.session.scalars(results.checks_query(provider_id)).all()
    assert (newest.status, newest.http_status, newest.model_count) == (ERROR, 401, None)
    assert oldest.status is CONNECTED


def test_only_a_turn_is_a_change(make: Callable[..., int], endpoint: LoopbackProvider) -> None:
    provider_id = make()
    before, version = rev(), read(provider_id).version

    run_check(provider_id)
    assert rev() == before + 1
    request_check(provider_id)
    run_check(provider_id)
    assert rev() == before + 1
    endpoint.answer_status(500)
    request_check(provider_id)
    run_check(provider_id)

    assert rev() == before + 2
    assert read(provider_id).version == version
    change = db.session.scalars(sa.select(Change).where(Change.rev == before + 2)).one()
    assert change.operation == "status"
    assert change.diff == {"settled_status": ["connected", "error"]}


def test_a_check_that_is_not_due_is_not_run(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    run_check(provider_id)

    assert not run_check(provider_id)
    assert not run_check(provider_id + 1000)
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
            barrier.wait(60)
            outcomes.append(run_check(provider_id))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    endpoint.wait_for_requests(1)
    endpoint.release()
    for thread in threads:
        thread.join(60)

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
    thread.join(60)
    assert read(provider_id).validation_status is CONNECTED


def test_a_call_is_made_where_it_is_asked_for(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    options = {"check_model": "loop-small"}
    provider_id = make(check_call=True, options=options)

    assert run_check(provider_id)

    assert read(provider_id).validation_status is CONNECTED
    assert [request.method for request in endpoint.requests] == ["GET", "POST"]
    assert json.loads(endpoint.requests[1].body)["model"] == "loop-small"
    update_provider(provider_id, {"options": {"check_model": "not there"}, "check_call": False})
    run_check(provider_id)
    assert len(endpoint.requests) == 3, "the list alone, which is free"


def test_a_call_that_fails_is_an_error_beside_the_models(
    make: Callable[..., int],
    endpoint: LoopbackProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> CallResult:
        return CallResult(False, 404, error="No such model.")

    monkeypatch.setattr("app.providers.adapters.openai.OpenAIAdapter.call", refuse)
    provider_id = make(check_call=True, options={"check_model": "gone"})

    run_check(provider_id)

    provider = read(provider_id)
    assert provider.last_error == "It answers, but a call of gone fails: No such model."
    assert provider.models == endpoint.models
    check = db.session.scalars(results.checks_query(provider_id)).one()
    assert (check.status, check.http_status, check.model_count) == (ERROR, 404, 2)


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
    thread.join(60)

    provider = read(provider_id)
    assert provider.validation_status is PENDING
    assert provider.last_checked_at is None
    assert db.session.scalars(results.checks_query(provider_id)).all() == []
    run_check(provider_id)
    assert read(provider_id).last_error == "The key was refused (HTTP 401). It says: wrong key"


def test_a_provider_deleted_during_its_check_is_no_error(make: Callable[..., int]) -> None:
    provider_id = make()
    claimed = claim(provider_id, utcnow())
    assert claimed is not None

    delete_provider(provider_id)

    assert not record(claimed, ProbeResult(True, 200))


def test_a_claim_is_a_lease(make: Callable[..., int]) -> None:
    provider_id = make()
    now = utcnow()
    first = claim(provider_id, now)
    assert first is not None

    lease = timedelta(seconds=DEADLINE) + claims.CLAIM_MARGIN
    assert claim(provider_id, now + lease - timedelta(seconds=1)) is None
    second = claim(provider_id, now + lease)

    assert second is not None
    assert not record(first, ProbeResult(False, 500, error="late"))
    assert read(provider_id).validation_status is VALIDATING
    assert record(second, ProbeResult(True, 200))
    assert read(provider_id).validation_status is CONNECTED


def test_what_a_lost_nudge_left_is_found_and_checked_once(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()

    assert Prober().run() == 1
    assert Prober().run() == 0

    assert read(provider_id).validation_status is CONNECTED
    assert len(endpoint.requests) == 1


def test_a_check_whose_worker_died_is_found(make: Callable[..., int]) -> None:
    provider_id = make()
    dead = claim(provider_id, utcnow())
    assert dead is not None
    assert Prober().run() == 0

    age(provider_id, check_lease_until=utcnow())

    assert Prober().run() == 1
    assert not record(dead, ProbeResult(False, 500, error="late"))
    assert read(provider_id).validation_status is CONNECTED


def test_those_whose_time_has_come_are_found(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    due, recent, resting = make("due"), make("recent"), make("resting", is_active=False)
    assert Prober().run() == 3
    age(due, next_check_at=utcnow())
    age(resting, next_check_at=utcnow())

    assert Prober().run() == 1

    checks = [
        len(db.session.scalars(results.checks_query(each)).all()) for each in (due, recent, resting)
    ]
    assert checks == [2, 1, 1]


def test_many_are_checked_at_once_and_stored_together(
    app: Flask,
    make: Callable[..., int],
    endpoint: LoopbackProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.health.prober.GATHER", 60)  # until all are in, however slow they come
    ids = [make(f"p{number}") for number in range(12)]
    before = rev()
    db.session.rollback()
    endpoint.hold()
    thread = threading.Thread(target=_run_prober, args=(app, Prober(at_once=8)))
    thread.start()
    endpoint.wait_for_requests(8)
    endpoint.release()
    thread.join(60)

    assert {read(provider_id).validation_status for provider_id in ids} == {CONNECTED}
    assert len(endpoint.requests) == 12
    assert before < rev() < before + 12


def test_a_prober_at_work_is_told_to_look_again(
    app: Flask, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    make("first")
    endpoint.hold()
    prober = Prober()
    thread = threading.Thread(target=_run_prober, args=(app, prober))
    thread.start()
    endpoint.wait_for_requests(1)
    second = make("second")

    assert prober.run() == 0, "the other thread does it"

    endpoint.wait_for_requests(2)
    endpoint.release()
    thread.join(60)
    assert read(second).validation_status is CONNECTED


def test_a_stopped_prober_ends_what_it_began_and_begins_nothing(
    app: Flask, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    first = make("first")
    endpoint.hold()
    prober = Prober()
    thread = threading.Thread(target=_run_prober, args=(app, prober))
    thread.start()
    endpoint.wait_for_requests(1)
    prober.stop()
    second = make("second")
    assert prober.run() == 0
    endpoint.release()
    thread.join(60)

    assert read(first).validation_status is CONNECTED
    assert read(second).validation_status is PENDING
    assert len(endpoint.requests) == 1


def test_those_asked_for_go_first(make: Callable[..., int], endpoint: LoopbackProvider) -> None:
    waiting, asked = make("waiting"), make("asked")
    Prober().run()
    age(waiting, next_check_at=utcnow(), last_checked_at=utcnow() - timedelta(days=1))
    request_check(asked)

    (first,) = claims.claim_due(utcnow(), 1)

    assert first.provider_id == asked


def test_one_result_that_cannot_be_stored_takes_no_other_with_it(
    make: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = make("good"), make("bad")
    found = claims.claim_due(utcnow(), 2)
    results_of = {good: ProbeResult(True, 200), bad: ProbeResult(True, 10**12)}
    findings = [results.Finding(each, results_of[each.provider_id], 1) for each in found]
    findings[1] = findings[1]._replace(latency_ms=-1)  # which a constraint of the table refuses

    assert results.record(findings) == 1

    assert "not stored" in caplog.text
    stored = {provider_id: read(provider_id).validation_status for provider_id in (good, bad)}
    assert stored == {good: CONNECTED, bad: VALIDATING}


def test_a_missing_key_is_said_and_nothing_is_sent(
    make: Callable[..., int], endpoint: LoopbackProvider, nudges: list[tuple[str, Any]]
) -> None:
    provider_id = make(api_key=None)

    assert not run_check(provider_id)

    provider = read(provider_id)
    assert provider.validation_status is PENDING
    assert provider.last_error == claims.NO_KEY
    assert Prober().run() == 0
    assert claims.claim_due(utcnow(), 1) == [], "looked at again all the time"
    assert endpoint.requests == []
    update_provider(provider_id, {"api_key": KEY})
    assert run_check(provider_id)
    assert read(provider_id).validation_status is CONNECTED


def test_a_lost_key_takes_the_status_back(
    make: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider_id = make(api_key=None)
    assert run_check(provider_id)
    monkeypatch.delenv("OPENAI_API_KEY")
    age(provider_id, next_check_at=utcnow())

    run_check(provider_id)

    provider = read(provider_id)
    assert (provider.validation_status, provider.settled_status) == (PENDING, PENDING)


def test_the_servers_key_stands_in_and_the_providers_own_goes_first(
    make: Callable[..., int], endpoint: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    endpoint.key = None

    run_check(make("without", api_key=None))
    run_check(make("with"))

    sent = [request.headers["authorization"] for request in endpoint.requests]
    assert sent == ["Bearer sk-server", f"Bearer {KEY}"]


def test_a_type_that_needs_no_key_is_checked_without(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    endpoint.key = None
    provider_id = make(type="ollama", base_url=endpoint.ollama_url, api_key=None)

    assert run_check(provider_id)
    assert read(provider_id).validation_status is CONNECTED


def test_a_key_that_does_not_open_must_be_entered_again(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    table = Provider.__table__
    sealed = {"api_key_sealed": "gAAAAAforeign"}
    db.session.execute(sa.update(table).where(table.c.id == provider_id).values(**sealed))
    commit()

    assert run_check(provider_id)

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

    run_check(provider_id)

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

    assert run_check(provider_id)

    assert read(provider_id).last_error == "The check itself failed (RuntimeError)."
    assert KEY not in caplog.text


def test_a_reason_of_any_length_is_stored(make: Callable[..., int]) -> None:
    provider_id = make(base_url="http://" + "a" * 1900 + ".example/v1")

    assert run_check(provider_id)
    assert len(read(provider_id).last_error or "") <= 500


def test_the_history_is_bounded(make: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "KEEP_CHECKS", 3)
    provider_id, other = make("loop"), make("other")
    run_check(other)
    for _ in range(5):
        check_an_hour_later(provider_id)
    assert len(db.session.scalars(results.checks_query(provider_id)).all()) == 3

    db.session.execute(sa.update(ProviderCheck).values(started_at=utcnow() - timedelta(days=31)))
    commit()
    check_an_hour_later(provider_id)

    assert len(db.session.scalars(results.checks_query(provider_id)).all()) == 1
    assert len(db.session.scalars(results.checks_query(other)).all()) == 1


def test_a_request_takes_the_status_back_and_nudges(
    make: Callable[..., int], nudges: list[tuple[str, Any]]
) -> None:
    provider_id = make()
    run_check(provider_id)
    nudges.clear()

    provider = request_check(provider_id)

    assert provider.validation_status is PENDING
    assert nudges == [("health.check", provider_id)]
    with pytest.raises(NotFound):
        request_check(provider_id + 1000)


def _run_check(app: Flask, provider_id: int) -> None:
    with app.app_context():
        run_check(provider_id)


def check_an_hour_later(provider_id: int) -> None:
    """The first check of an hour is the one that prunes."""
    age(provider_id, last_checked_at=utcnow() - timedelta(hours=1))
    request_check(provider_id)
    assert run_check(provider_id)


def _run_prober(app: Flask, prober: Prober) -> None:
    with app.app_context():
        prober.run()
