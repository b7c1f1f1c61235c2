"""What Redis knows of the work, and what is shown of the schedule."""

from datetime import timedelta

import pytest
from flask import Flask

from app.core import heartbeat
from app.core.redis import connect
from app.pages import jobs


def test_workers_and_the_queue_are_counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    # The browser tests' worker is at the real one of the session's Redis.
    monkeypatch.setattr(jobs, "QUEUE", "a queue that nobody works at")
    with app.app_context(), connect(app.config["REDIS_URL"]) as redis:
        before = jobs.read_jobs()
        heartbeat.beat(redis, "celery@unit")
        redis.rpush(jobs.QUEUE, "a job", "another")
        try:
            now = jobs.read_jobs()
        finally:
            redis.delete(jobs.QUEUE)
            heartbeat.end(redis, "celery@unit")
        assert now.reachable
        assert "celery@unit" in {worker.name for worker in now.workers}
        assert all(0 <= worker.seconds_ago <= heartbeat.TTL for worker in now.workers)
        assert now.waiting == before.waiting + 2


def test_without_redis_nothing_is_claimed(app: Flask) -> None:
    app.config["REDIS_URL"] = "unix:///nowhere/redis.sock"
    with app.app_context():
        assert jobs.read_jobs() == (False, [], 0)


def test_every_job_of_the_beat_says_how_often_it_runs() -> None:
    found = {schedule.name: schedule for schedule in jobs.list_schedules()}
    assert found["sweep"] == ("sweep", "health.sweep", "every 5 s")


@pytest.mark.parametrize(
    ("schedule", "text"),
    [(5.0, "every 5 s"), (0.5, "every 0.5 s"), (timedelta(minutes=2), "every 2 min"), ("x", "x")],
)
def test_how_often_is_said_in_seconds(schedule: object, text: str) -> None:
    assert jobs._often(schedule) == text
