"""Whoever is killed in the middle of ten thousand events, none is lost and none counted twice."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.agents.services import create_agent
from app.core.db import db, reading
from app.usage.models import UsageEvent
from app.usage.periods import Period
from app.usage.rebuild import rebuild
from app.usage.summary import summarise
from app.usage.sums import Question
from tests.conftest import ADMIN_TOKEN
from tests.integration.usage.conftest import event
from tests.support.processes import PYTHON, ManagedProcess, running, wait_until
from tests.support.servers import RedisServer, celery_worker, server_env, web_server

EVENTS, SENDERS = 10_000, 8
PATIENCE = 240  # seconds; the machine may be busy
# Killed, it cannot know what has been stored: started again, it reports everything once more.
CLIENT = """
import sys
from datetime import UTC, datetime, timedelta
from switchyard_client import SwitchyardClient, Timings

url, token, snapshot, number = sys.argv[1:]
quick = Timings(backoff_min=0.05, backoff_max=0.3, usage_delay=0.05)
client = SwitchyardClient(url, token=token, snapshot_path=snapshot, timings=quick)
assert client.wait_ready(60)
for n in range(int(number)):
    client.report_usage(
        "trader",
        event_id=f"event-{n}",
        started_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=n),
        input_tokens=n,
        output_tokens=1,
        latency_ms=5,
    )
    while n % 500 == 499 and not client.flush_usage(1):
        pass
print("dropped", client.usage_dropped, flush=True)
"""


@pytest.fixture
def env(app: Flask, redis: RedisServer, tmp_path: Path) -> dict[str, str]:
    with app.app_context():
        create_agent({"name": "Trader", "llm_provider": "openai", "llm_model": "gpt-4.1"})
    settings = {"DATABASE_URL": app.config["DATABASE_URL"], "REDIS_URL": redis.url}
    return server_env(tmp_path, **settings, RATE_LIMIT_API="100000 per minute")


@pytest.fixture
def counting(app: Flask) -> Iterator[None]:
    """A context to count in."""
    with app.app_context():
        yield


@pytest.mark.timeout(2 * PATIENCE)
# Fewer where there is one writer: what happens on a kill is the same.
@pytest.mark.parametrize(("backend", "number"), [("postgresql", EVENTS), ("sqlite", EVENTS // 5)])
def test_kill_9_of_web_worker_and_client(
    counting: None, env: dict[str, str], tmp_path: Path, number: int
) -> None:
    with (
        web_server(env, tmp_path / "web.log") as web,
        celery_worker(env, tmp_path / "worker.log") as worker,
    ):
        argv = [PYTHON, "-c", CLIENT, web.url, ADMIN_TOKEN, str(tmp_path / "snapshot"), str(number)]
        with running(ManagedProcess(argv, tmp_path / "client.log", env)) as client:
            reaches(number // 5)
            web.kill()
            web.start()
            reaches(2 * number // 5)
            worker.kill()
            client.kill()
            client.start()
            reaches(3 * number // 5)
            web.kill()
            web.start()
            assert client.wait_for_exit(PATIENCE) == 0
            assert client.output().splitlines()[-1] == "dropped 0"
    assert stored() == number
    accounted_for(number, tokens=number * (number - 1) // 2)


def test_eight_senders_of_the_same_events_count_them_once(app: Flask, counting: None) -> None:
    agents = [f"agent-{n}" for n in range(10)]
    batches = [
        [event(agent_id=random.Random(n * 50 + m).choice(agents)) for m in range(50)]
        for n in range(10)
    ]

    def send(seed: int) -> list[dict[str, Any]]:
        http, chance = app.test_client(), random.Random(seed)
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        receipts = []
        for batch in chance.sample(batches, len(batches)):
            body = {"events": chance.sample(batch, len(batch))}
            answer = http.post("/api/usage", json=body, headers=headers)
            while answer.status_code in {429, 503}:  # a busy machine: the same once more
                answer = http.post("/api/usage", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            receipts.append(answer.json)
        return receipts

    with ThreadPoolExecutor(SENDERS) as pool:
        receipts = [it for found in pool.map(send, range(SENDERS)) for it in found]
    assert sum(it["accepted"] for it in receipts) == 500
    assert sum(it["duplicates"] for it in receipts) == 500 * (SENDERS - 1)
    assert not any(it["rejected"] for it in receipts)
    accounted_for(500, tokens=500_000)


def stored() -> int:
    with reading():
        return db.session.scalar(sa.select(sa.func.count(sa.distinct(UsageEvent.event_id)))) or 0


def reaches(number: int) -> None:
    wait_until(lambda: stored() >= number, f"{number} events are stored", PATIENCE, every=0.2)


def accounted_for(events: int, tokens: int) -> None:
    """Events and sums say the same, and the sums are what they would be if made anew."""
    assert stored() == events
    with reading():
        rows = db.session.scalar(sa.select(sa.func.count()).select_from(UsageEvent))
        totals = [summarise(Question(by))["total"] for by in ((), ("agent",), ("model", "task"))]
    assert rows == events
    for total in totals:
        assert (total["calls"], total["input_tokens"]) == (events, tokens)
    assert rebuild(Period()).differences == 0
