"""The schedule goes by a clock that nobody sets."""

from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery

from worker.beat import PlainScheduler

EVERY = 5.0


def test_a_clock_that_is_set_back_stops_no_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(1970, 1, 1, 10, tzinfo=UTC)
    monkeypatch.setattr("worker.beat.steady_now", lambda: now)
    schedule = {"sweep": {"task": "tests.sweep", "schedule": EVERY}}
    with Celery(set_as_current=False, beat_schedule=schedule) as celery:
        entry = PlainScheduler(celery).schedule["sweep"]
        for _ in range(2):  # the first one, and the one that follows it
            now += timedelta(seconds=EVERY - 1)
            assert not entry.is_due().is_due
            now += timedelta(seconds=1)
            assert entry.is_due().is_due
            entry = next(entry)
