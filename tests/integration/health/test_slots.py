"""When providers are checked again, and what becomes of one whose check kills workers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.core.clock import utcnow
from app.health import services
from app.providers.adapters import ProbeResult
from app.providers.services import update_provider
from tests.integration.health.conftest import CONNECTED, ERROR, PENDING, age, read
from tests.support.loopback_provider import LoopbackProvider

Nudges = list[tuple[str, Any]]


@pytest.mark.parametrize(("own", "seconds"), [(None, 300), (30, 30)])
def test_the_next_slot_is_an_interval_away(
    make: Callable[..., int], own: int | None, seconds: int
) -> None:
    provider_id = make(check_interval=own)
    assert read(provider_id).next_check_at is None
    before = utcnow()

    services.run_check(provider_id)

    planned = read(provider_id).next_check_at
    assert planned is not None
    assert timedelta() <= planned - before - timedelta(seconds=seconds) < timedelta(seconds=60)


def test_a_late_check_does_not_move_the_slots(make: Callable[..., int]) -> None:
    provider_id = make(check_interval=60)
    services.run_check(provider_id)
    slot = utcnow() - timedelta(seconds=10)
    age(provider_id, next_check_at=slot)

    assert services.run_check(provider_id)

    assert read(provider_id).next_check_at == slot + timedelta(seconds=60)


def test_no_interval_means_checks_on_request_only(
    make: Callable[..., int], nudges: Nudges, endpoint: LoopbackProvider
) -> None:
    provider_id = make(check_interval=0)
    assert services.run_check(provider_id)
    nudges.clear()

    assert services.sweep() == 0
    assert not services.run_check(provider_id)
    services.request_check(provider_id)

    assert services.run_check(provider_id)
    assert len(endpoint.requests) == 2


def test_another_interval_begins_at_once(make: Callable[..., int]) -> None:
    provider_id = make(check_interval=86_400)
    services.run_check(provider_id)

    update_provider(provider_id, {"check_interval": 10})

    provider = read(provider_id)
    assert (provider.validation_status, provider.settled_status) == (PENDING, CONNECTED)
    assert services.run_check(provider_id)
    planned = read(provider_id).next_check_at
    assert planned is not None
    assert planned < utcnow() + timedelta(seconds=10)


def test_a_shorter_setting_holds_after_the_next_start(app: Flask, make: Callable[..., int]) -> None:
    usual, own = make("usual"), make("own", check_interval=3600)
    for provider_id in (usual, own):
        services.run_check(provider_id)
    kept = read(own).next_check_at
    app.config["HEALTH_CHECK_INTERVAL"] = 20

    services.bring_forward()

    planned = read(usual).next_check_at
    assert planned is not None
    assert planned <= utcnow() + timedelta(seconds=20)
    assert read(own).next_check_at == kept


def test_what_kills_three_workers_is_in_error_until_its_next_slot(
    make: Callable[..., int], nudges: Nudges, endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    for _ in range(services.MOST_ATTEMPTS):
        assert services.claim_check(provider_id, utcnow()) is not None
        age(provider_id, check_lease_until=utcnow())  # the worker died
        assert services.sweep() == 1
        assert nudges.pop() == ("health.check", provider_id)

    assert services.run_check(provider_id)

    provider = read(provider_id)
    assert (provider.validation_status, provider.last_error) == (ERROR, services.DEADLY)
    assert endpoint.requests == []
    assert services.sweep() == 0
    age(provider_id, next_check_at=utcnow())
    assert services.run_check(provider_id)
    assert read(provider_id).validation_status is CONNECTED


def test_those_that_died_with_it_are_tried_one_by_one(
    make: Callable[..., int], nudges: Nudges
) -> None:
    together = [make(name) for name in ("poison", "beside", "bystander")]
    fresh = make("fresh")
    for _ in range(services.SUSPECT):
        for provider_id in together:
            assert services.claim_check(provider_id, utcnow()) is not None
            age(provider_id, check_lease_until=utcnow())
    nudges.clear()

    assert services.sweep() == 2

    assert nudges == [("health.check", together[0]), ("health.check", fresh)]
    assert services.sweep() == 1, "the next suspect, once the first has had its turn"


def test_a_check_that_ends_starts_the_count_anew(make: Callable[..., int]) -> None:
    provider_id = make()
    services.claim_check(provider_id, utcnow())
    age(provider_id, check_lease_until=utcnow())
    claim = services.claim_check(provider_id, utcnow())
    assert claim is not None
    assert read(provider_id).check_attempts == 2

    services.record_result(claim, ProbeResult(False, error="no"), 1)

    assert read(provider_id).check_attempts == 0
