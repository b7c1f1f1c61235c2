"""`flask providers check`: exit codes, output, with a worker and without."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from app.core import heartbeat
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.redis import connect
from app.health import claims
from app.health.prober import Prober
from app.providers.models import Provider
from tests.integration.health.conftest import CONNECTED, ERROR, PENDING, age, read
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until

Run = Callable[..., Result]

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def run(app: Flask) -> Run:
    """``run("--all", "--wait")``; a worker, if there is one, has no hand in these tests."""
    db.session.execute(sa.update(Provider.__table__).values(is_active=False))  # the seeded one
    commit()

    def invoke(*arguments: str) -> Result:
        return app.test_cli_runner().invoke(args=["providers", "check", *arguments])

    return invoke


@pytest.fixture
def worker(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A sign of life; ``worker()`` does what a worker would, once."""
    monkeypatch.setattr(heartbeat, "TTL", 600)  # it gives one only
    with connect(app.config["REDIS_URL"]) as redis:
        heartbeat.beat(redis, "a test's")

        def work() -> None:
            with app.app_context():
                Prober().run()

        yield work
        heartbeat.end(redis, "a test's")


def test_without_a_worker_it_checks_itself(
    run: Run, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    ids = [make("one"), make("two")]

    result = run()

    assert result.exit_code == 0, result.output
    assert "one  connected" in result.stdout
    assert result.stdout.endswith("2 connected.\n")
    assert {read(provider_id).validation_status for provider_id in ids} == {CONNECTED}
    assert len(endpoint.requests) == 2


def test_one_in_error_is_exit_code_1_and_says_why(
    run: Run, make: Callable[..., int], endpoint: LoopbackProvider
) -> None:
    make("good", base_url=endpoint.ollama_url, type="ollama")
    make("bad", base_url=f"{endpoint.openai_url}/nothing/here")

    result = run("--all", "--json", "--wait")

    assert result.exit_code == 1
    body = json.loads(result.stdout)
    assert (body["connected"], body["error"], body["unfinished"]) == (1, 1, 0)
    bad, good = body["providers"]
    assert (bad["name"], bad["status"], good["status"]) == ("bad", "error", "connected")
    assert "HTTP 404" in bad["error"]
    assert set(good) == {"name", "type", "status", "latency_ms", "last_checked_at", "error"}
    assert run("good").exit_code == 0


def test_an_unknown_name_is_exit_code_2_and_asks_for_nothing(
    run: Run, make: Callable[..., int]
) -> None:
    provider_id = make("known")
    Prober().run()

    result = run("known", "unknown", "--wait")

    assert result.exit_code == 2
    assert "There is no provider named: unknown." in result.output
    assert read(provider_id).validation_status is CONNECTED


@on_sqlite
@pytest.mark.parametrize("arguments", [("--all", "--due"), ("x", "--all")])
def test_what_is_meant_must_be_said_once(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Name providers, or say --all, or --due." in result.output


@on_sqlite
def test_a_database_that_is_not_set_up_is_exit_code_2(run: Run) -> None:
    db.session.execute(sa.text("ALTER TABLE providers RENAME TO gone"))
    commit()

    result = run("--all", "--wait")

    assert result.exit_code == 2
    assert "The database is away or not set up" in result.output


def test_only_what_is_due(run: Run, make: Callable[..., int], endpoint: LoopbackProvider) -> None:
    due = make("due")
    make("recent")
    Prober().run()
    age(due, next_check_at=utcnow())

    assert run("--due", "--json").exit_code == 0

    assert len(endpoint.requests) == 3
    result = run("--due")
    assert (result.exit_code, result.output) == (0, "There is nothing to check.\n")


def test_without_a_key_it_is_no_error(run: Run, make: Callable[..., int]) -> None:
    provider_id = make("keyless", api_key=None)

    result = run("--all", "--wait", "--timeout", "60")

    assert result.exit_code == 0, result.output
    assert claims.NO_KEY in result.output
    assert read(provider_id).validation_status is PENDING
    assert run("--due").output == "There is nothing to check.\n"


def test_a_worker_is_left_to_it(
    run: Run, make: Callable[..., int], worker: Callable[[], None], endpoint: LoopbackProvider
) -> None:
    provider_id = make("one")
    Prober().run()
    endpoint.answer_status(500)

    result = run("--all")

    assert (result.exit_code, len(endpoint.requests)) == (0, 1), result.output
    assert read(provider_id).validation_status is PENDING
    worker()
    assert run("--due").exit_code == 0
    assert run("one").exit_code == 1, "what the last check found is known"


def test_it_waits_for_the_worker(
    app: Flask,
    run: Run,
    make: Callable[..., int],
    worker: Callable[[], None],
    endpoint: LoopbackProvider,
) -> None:
    provider_id = make("one")
    Prober().run()
    endpoint.answer_status(500)

    def work_when_asked() -> None:
        with app.app_context():
            wait_until(lambda: read(provider_id).validation_status is PENDING, "it is asked for")
        worker()

    working = threading.Thread(target=work_when_asked)
    working.start()

    result = run("one", "--wait")

    working.join(60)
    assert result.exit_code == 1, result.output
    assert read(provider_id).validation_status is ERROR
    assert len(endpoint.requests) == 2


@pytest.mark.usefixtures("worker")
def test_what_does_not_end_is_exit_code_2(run: Run, make: Callable[..., int]) -> None:
    make("stuck")

    result = run("--all", "--wait", "--timeout", "1", "--json")

    assert result.exit_code == 2
    assert json.loads(result.stdout)["unfinished"] == 1
    assert "not ended in time" in result.stderr
