"""O1: /metrics, and what /readyz says of each part."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.core import counters, heartbeat
from app.core.db import commit, db
from app.core.redis import connect
from app.health.metrics import count_check
from app.providers.models import Provider, ValidationStatus
from tests.conftest import ADMIN_TOKEN, Api, close_app, make_app
from tests.contract.conftest import MakeToken, on_sqlite
from tests.support.servers import redis_server

GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"

Read = Callable[..., dict[str, float]]


def parse(text: str) -> dict[str, float]:
    """Each sample under its name and labels, as they are written."""
    return {
        sample.name
        + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def read(app: Flask) -> Read:
    """``read()``: what there is, once all that was counted here has reached Redis."""

    def scrape() -> dict[str, float]:
        with connect(app.config["REDIS_URL"]) as redis:
            app.extensions["counters"].send(redis)
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        answer = app.test_client().get("/metrics", headers=headers)
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/plain")
        return parse(answer.text)

    return scrape


def test_providers_by_state_and_one_by_one(app: Flask, api: Api, read: Read) -> None:
    api("POST", "/providers", {"name": 'we"ird\n', "type": "vllm"})

    found = read()

    assert found["switchyard_providers,status=pending"] == 2
    assert found["switchyard_providers,status=error"] == 0
    assert found["switchyard_checks_due"] == 2
    assert not [name for name in found if name.startswith("switchyard_provider_up")]
    assert found["switchyard_config_rev"] == api("GET", "/sync").json["rev"]


@on_sqlite
def test_checks_are_counted_with_how_long_they_took(app: Flask, read: Read) -> None:
    name = "switchyard_provider_check_duration_seconds"
    before = read()
    with app.app_context():
        for latency_ms in (20, 300, 20_000):
            count_check(ValidationStatus.CONNECTED, latency_ms)

    after = read()

    grown = {key: after[key] - before[key] for key in after if key.startswith(name)}
    assert grown[f"{name}_count,status=connected"] == 3
    assert grown[f"{name}_sum,status=connected"] == pytest.approx(20.32)
    assert grown[f"{name}_bucket,le=0.05,status=connected"] == 1
    assert grown[f"{name}_bucket,le=0.5,status=connected"] == 2
    assert grown[f"{name}_bucket,le=10.0,status=connected"] == 2
    assert grown[f"{name}_count,status=error"] == 0


@on_sqlite
def test_requests_of_all_processes_add_up(app: Flask, http: FlaskClient, read: Read) -> None:
    name = "switchyard_http_requests_total,endpoint={},method={},status={}"
    before = read()
    http.get("/healthz")
    http.get("/nothing/here")
    http.open("/nothing/here", method="MADE-UP")
    other = make_app(app.config["DATABASE_URL"], app.config["REDIS_URL"])
    other.test_client().get("/healthz")
    with connect(app.config["REDIS_URL"]) as redis:
        other.extensions["counters"].send(redis)
    close_app(other)

    after = read()

    for key, more in (
        (name.format("probes.healthz", "GET", 200), 2),
        (name.format("none", "other", 404), 2),
    ):
        assert after[key] - before.get(key, 0) == more


@on_sqlite
def test_workers_and_the_queue(app: Flask, read: Read) -> None:
    with connect(app.config["REDIS_URL"]) as redis:
        heartbeat.beat(redis, "celery@here:1")
        found = read()
        heartbeat.end(redis, "celery@here:1")
    assert found["switchyard_workers"] >= 1
    assert 0 <= found["switchyard_worker_heartbeat_age_seconds,worker=celery@here:1"] < 10
    assert found["switchyard_queue_depth,queue=celery"] >= 0
    assert found["switchyard_redis_up"] == 1


@on_sqlite
def test_sockets_and_clients(app: Flask, read: Read) -> None:
    found = read()
    (sockets,) = (key for key in found if key.startswith("switchyard_sockets,process="))
    assert found[sockets] == 0
    assert found["switchyard_clients_connected"] == found["switchyard_client_rev_lag_max"] == 0


@on_sqlite
def test_who_may_read_them(http: FlaskClient, make_token: MakeToken) -> None:
    assert http.get("/metrics").status_code == 401
    for scope, status in (("config:read", 200), ("usage:write", 403)):
        headers = {"Authorization": f"Bearer {make_token(scope)}"}
        assert http.get("/metrics", headers=headers).status_code == status


@on_sqlite
def test_they_may_be_public_and_do_without_redis(database_url: str) -> None:
    app = make_app(database_url, "redis://127.0.0.1:1", METRICS_PUBLIC=True)
    answer = app.test_client().get("/metrics")
    close_app(app)
    found = parse(answer.text)
    assert (answer.status_code, found["switchyard_redis_up"]) == (200, 0)
    assert "switchyard_workers" not in found
    assert found["switchyard_providers,status=pending"] == 1


@on_sqlite
def test_counts_that_redis_did_not_take_are_kept(app: Flask) -> None:
    nobody: Any = SimpleNamespace(call=lambda _errand: None)
    kept = counters.Counters(nobody)
    kept.add("a test's", "label", amount=2)
    with connect("redis://127.0.0.1:1") as away, pytest.raises(counters.RedisError):
        kept.send(away)
    with connect(app.config["REDIS_URL"]) as redis:
        before = counters.read_counts(redis).get(("a test's", "label"), 0)
        kept.send(redis)
        assert counters.read_counts(redis)["a test's", "label"] == before + 2


@on_sqlite
def test_the_documented_metrics_are_there(app: Flask, read: Read) -> None:
    with app.app_context():
        count_check(ValidationStatus.CONNECTED, 1)
        provider = db.session.scalars(sa.select(Provider)).one()
        provider.settled_status = ValidationStatus.CONNECTED
        commit()
    with connect(app.config["REDIS_URL"]) as redis:
        heartbeat.beat(redis, "celery@here:1")
        read()  # which is a request to be counted
        found = read()
        heartbeat.end(redis, "celery@here:1")
    shown = {re.sub(r"_(bucket|count|sum)$", "", name.partition(",")[0]) for name in found}
    assert shown == set(re.findall(r"`(switchyard_\w+)", GUIDE.read_text()))
    assert found["switchyard_provider_up,provider=ollama,type=ollama"] == 1


def test_readyz_names_each_part(app: Flask, http: FlaskClient) -> None:
    parts = {"database": "ok", "migrations": "ok", "keys": "ok", "redis": "ok"}
    with connect(app.config["REDIS_URL"]) as redis:
        heartbeat.beat(redis, "celery@here:1")
        ready = http.get("/readyz")
        heartbeat.end(redis, "celery@here:1")
    assert (ready.status_code, ready.json) == (200, {"status": "ok", **parts, "worker": "ok"})


@on_sqlite
@pytest.mark.parametrize(
    ("setting", "state"),
    [(("maxmemory", "1"), "takes no writes"), (("requirepass", "another"), "refuses the password")],
)
def test_readyz_says_what_ails_redis(
    database_url: str, setting: tuple[str, str], state: str
) -> None:
    with redis_server() as redis:
        with redis.client() as client:
            client.config_set(*setting)
        app = make_app(database_url, redis.url)
        answer = app.test_client().get("/readyz")
        close_app(app)
    assert (answer.status_code, answer.json["redis"]) == (503, state)


def test_readyz_names_what_is_missing(database_url: str) -> None:
    app = make_app(database_url, "redis://127.0.0.1:1")
    http = app.test_client()
    answer = http.get("/readyz")
    with app.app_context():
        db.session.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
        commit()
        pending = http.get("/readyz").json["migrations"]
        db.session.execute(sa.text("DROP TABLE alembic_version"))
        commit()
    none = http.get("/readyz").json["migrations"]
    close_app(app)
    assert (answer.status_code, answer.json["status"]) == (503, "unavailable")
    assert (answer.json["redis"], answer.json["worker"]) == ("unreachable", "unknown")
    assert (pending, none) == ("pending", "none yet")
