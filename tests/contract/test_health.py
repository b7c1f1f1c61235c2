"""How often providers are checked, and what became of it."""

from datetime import timedelta

import pytest
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db
from app.health.models import ProviderCheck
from app.providers.models import ValidationStatus
from tests.conftest import Api
from tests.contract.conftest import on_sqlite

BODY = {"name": "mine", "type": "openai", "api_key": "sk-canary"}


@pytest.fixture
def provider_id(api: Api) -> int:
    created: int = api("POST", "/providers", BODY).json["id"]
    return created


def add_checks(app: Flask, provider_id: int, *checks: tuple[float, int, str | None]) -> None:
    """Each so many hours ago, with a latency and an error."""
    with app.app_context():
        for hours, latency_ms, error in checks:
            status = ValidationStatus.ERROR if error else ValidationStatus.CONNECTED
            started_at = utcnow() - timedelta(hours=hours)
            db.session.add(
                ProviderCheck(
                    provider_id=provider_id,
                    started_at=started_at,
                    latency_ms=latency_ms,
                    status=status,
                    error=error,
                )
            )
        commit()


def test_uptime_latency_and_the_last_error(app: Flask, api: Api, provider_id: int) -> None:
    add_checks(
        app,
        provider_id,
        (1, 10, None),
        (2, 30, None),
        (3, 9999, "refused"),
        (4, 20, None),
        (25, 40, None),
        (50, 9999, "a time-out"),
        (24 * 8, 9999, "long ago"),
    )

    body = api("GET", f"/providers/{provider_id}/health").json

    assert (body["provider_id"], body["status"]) == (provider_id, "pending")
    assert (body["check_interval"], body["next_check_at"]) == (300, None)
    assert body["last_failed_check"]["error"] == "refused"
    day, week = body["last_24h"], body["last_7d"]
    assert (day["checks"], day["failed"], day["uptime"]) == (4, 1, 0.75)
    assert day["latency_ms"] == {"p50": 20, "p95": 30, "p99": 30}
    assert (week["checks"], week["failed"]) == (6, 2)
    assert week["latency_ms"] == {"p50": 20, "p95": 40, "p99": 40}
    assert week["since"] < day["since"]


@on_sqlite
def test_without_checks_there_is_nothing_to_say(api: Api, provider_id: int) -> None:
    body = api("GET", f"/providers/{provider_id}/health").json
    nothing = {"since": None, "checks": 0, "failed": 0, "uptime": None, "latency_ms": None}
    assert body["last_24h"] == body["last_7d"] == nothing
    assert body["last_failed_check"] is None
    assert api("GET", "/providers/999/health").status_code == 404


@on_sqlite
@pytest.mark.parametrize("interval", [None, 0, 10, 86_400])
def test_an_interval_of_ones_own(api: Api, provider_id: int, interval: int | None) -> None:
    path = f"/providers/{provider_id}"
    assert api("GET", path).json["check_interval"] is None
    answer = api("PATCH", path, {"check_interval": interval})
    assert (answer.status_code, answer.json["check_interval"]) == (200, interval)
    assert api("POST", "/providers", BODY | {"name": "b", "check_interval": interval}).json[
        "check_interval"
    ] == (interval)
    assert api("GET", f"{path}/health").json["check_interval"] == (
        300 if interval is None else interval
    )


@on_sqlite
def test_a_wrong_interval_is_named_and_changes_nothing(api: Api, provider_id: int) -> None:
    for interval in (-1, 1, 9, 86_401, 10.5, "60", True, 10**30):
        answer = api("PATCH", f"/providers/{provider_id}", {"check_interval": interval})
        assert answer.status_code == 422, interval
        assert "check_interval" in answer.json["errors"]["json"], interval
    assert api("GET", f"/providers/{provider_id}").json["version"] == 1


def test_a_call_needs_its_model(api: Api, provider_id: int) -> None:
    path, options = f"/providers/{provider_id}", {"check_model": "gpt-4.1-nano"}
    for body in ({"check_call": True}, {"check_call": True, "options": {"check_model": 1}}):
        answer = api("PATCH", path, body)
        assert answer.status_code == 422
        assert "options.check_model" in answer.json["errors"]["json"]["check_call"][0]
    created = api("POST", "/providers", BODY | {"name": "other", "check_call": True})
    assert created.status_code == 422
    assert api("GET", "/providers").json["total"] == 2
    answer = api("PATCH", path, {"check_call": True, "options": options})
    assert (answer.status_code, answer.json["check_call"]) == (200, True)
    assert api("PATCH", path, {"options": {}}).status_code == 422
    assert api("GET", path).json["options"] == options


def test_intervals_are_in_the_history_and_come_back(api: Api, provider_id: int) -> None:
    path = f"/providers/{provider_id}"
    created = api("GET", f"/changes?entity=provider&entity_id={provider_id}").json["changes"][0]
    api("PATCH", path, {"check_interval": 60})
    changed = api("GET", f"/changes?entity=provider&entity_id={provider_id}").json["changes"][0]
    assert changed["diff"] == {"check_interval": [None, 60]}
    assert api("POST", f"/changes/{created['rev']}/restore", {}).status_code == 200
    assert api("GET", path).json["check_interval"] is None
    assert api("POST", f"/changes/{changed['rev']}/restore", {}).status_code == 200
    assert api("GET", path).json["check_interval"] == 60
