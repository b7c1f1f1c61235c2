"""When providers are checked again, and what becomes of one whose check kills workers."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from app.core.clock import utcnow
from app.health import claims
from app.health.prober import Prober
from app.health.services import request_check
from app.providers.adapters import ProbeResult
from app.providers.services import update_provider
from tests.integration.health.conftest import (
    CONNECTED,
    ERROR,
    PENDING,
    age,
    claim,
    read,
    record,
)
from tests.support.checks import run_check
from tests.support.loopback_provider import LoopbackProvider


@pytest.mark.parametrize(("own", "seconds"), [(None, 300), (30, 30)])
def test_the_next_slot_is_an_interval_away(
    make: Callable[..., int], own: int | None, seconds: int
) -> None:
    provider_id = make(check_interval=own)
    assert read(provider_id).next_check_at is None
    before = utcnow()

    run_check(provider_id)

    planned = read(provider_id).next_check_at
    assert planned is not None
    assert timedelta() <= planned - before - timedelta(seconds=seconds) < timedelta(seconds=60)


def test_a_late_check_does_not_move_the_slots(make: Callable[..., int]) -> None:
    provider_id = make(check_interval=60)
    run_check(provider_id)
    slot = utcnow() - timedelta(seconds=10)
    age(provider_id, next_check_at=slot)

    assert run_check(provider_id)

    assert read(provider_id).next_check_at == slot + timedelta(seconds=60)


def test_no_interval_means_checks_on_request_only(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make(check_interval=0)
    assert run_check(provider_id)

    assert not run_check(provider_id)
    request_check(provider_id)

    assert run_check(provider_id)
    assert len(endpoint.requests) == 2


def test_another_interval_begins_at_once(make: Callable[..., int]) -> None:
    provider_id = make(check_interval=86_400)
    run_check(provider_id)

    update_provider(provider_id, {"check_interval": 10})

    provider = read(provider_id)
    assert (provider.validation_status, provider.settled_status) == (PENDING, CONNECTED)
    assert run_check(provider_id)
    planned = read(provider_id).next_check_at
    assert planned is not None
    assert planned < utcnow() + timedelta(seconds=10)


def test_a_shorter_setting_holds_after_the_next_start(app: Flask, make: Callable[..., int]) -> None:
    usual, own = make("usual"), make("own", check_interval=3600)
    for provider_id in (usual, own):
        run_check(provider_id)
    kept = read(own).next_check_at
    app.config["HEALTH_CHECK_INTERVAL"] = 20

    claims.bring_forward()

    planned = read(usual).next_check_at
    assert planned is not None
    assert planned <= utcnow() + timedelta(seconds=20)
    assert read(own).next_check_at == kept


def test_what_kills_three_workers_is_in_error_until_its_next_slot(
    make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    provider_id = make()
    for _ in range(claims.MOST_ATTEMPTS):
        assert claim(provider_id, utcnow()) is not None
        age(provider_id, check_lease_until=utcnow())  # the worker died

    assert Prober().run() == 1

    provider = read(provider_id)
    assert (provider.validation_status, provider.last_error) == (ERROR, claims.DEADLY)
    assert endpoint.requests == []
    assert Prober().run() == 0
    age(provider_id, next_check_at=utcnow())
    assert Prober().run() == 1
    assert read(provider_id).validation_status is CONNECTED


def test_those_that_died_with_it_are_tried_one_by_one(make: Callable[..., int]) -> None:
    together = {make(name) for name in ("poison", "beside", "bystander")}
    for _ in range(claims.SUSPECT):
        assert {each.provider_id for each in claims.claim_due(utcnow(), 9)} == together
        for provider_id in together:
            age(provider_id, check_lease_until=utcnow())
    fresh = make("fresh")
    claim(fresh, utcnow())
    age(fresh, check_lease_until=utcnow())  # once is nothing to suspect it of

    first, suspect = claims.claim_due(utcnow(), 9)

    assert first.provider_id == fresh
    assert suspect.provider_id in together
    assert claims.claim_due(utcnow(), 9) == [], "it has its turn alone"
    assert record(suspect, ProbeResult(True, 200))
    (other,) = claims.claim_due(utcnow(), 9)
    assert other.provider_id in together - {suspect.provider_id}


def test_a_check_that_ends_starts_the_count_anew(make: Callable[..., int]) -> None:
    provider_id = make()
    claim(provider_id, utcnow())
    age(provider_id, check_lease_until=utcnow())
    second = claim(provider_id, utcnow())
    assert second is not None
    assert read(provider_id).check_attempts == 2

    record(second, ProbeResult(False, error="no"))

    assert read(provider_id).check_attempts == 0
