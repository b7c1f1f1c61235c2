"""An outage is a line a task in the worker's log, not a hundred."""

import logging
import sqlite3

import pytest
from celery import Celery
from celery.beat import SchedulingError
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.core.errors import Unavailable
from worker import celery_app
from worker.beat import PlainScheduler
from worker.transfer import seed

LOCKED = OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked"))


@pytest.mark.parametrize(
    ("error", "why"), [(LOCKED, "database is locked"), (Unavailable("busy"), "busy")]
)
def test_a_task_without_its_database_says_so_in_a_line(
    app: Flask,
    error: Exception,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sweep(celery_app.ContextTask):
        name = "tests.sweep"

        def run(self) -> None:
            raise error

    monkeypatch.setattr(celery_app, "flask_app", lambda: app)
    assert Sweep()() is None
    assert complaints(caplog) == [(f"tests.sweep: {why}; the next sweep does it", None)]


def test_only_what_is_swept_is_promised(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise LOCKED

    monkeypatch.setattr(celery_app, "flask_app", lambda: app)
    monkeypatch.setattr("app.transfer.seed.seed", fail)
    seed()
    told = "transfer.seed: database is locked; nothing is made; send it again"
    assert complaints(caplog) == [(told, None)]


def test_whatever_else_is_wrong_is_raised(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(celery_app.ContextTask):
        name = "tests.broken"

        def run(self) -> None:
            raise ZeroDivisionError

    monkeypatch.setattr(celery_app, "flask_app", lambda: app)
    with pytest.raises(ZeroDivisionError):
        Broken()()


def test_a_schedule_that_redis_does_not_take_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    class Refused(PlainScheduler):
        def apply_async(self, *_args: object, **_options: object) -> None:
            raise SchedulingError("Couldn't apply scheduled task sweep: out of memory")

    with Celery(set_as_current=False) as celery:
        Refused(celery, lazy=True).apply_entry(None)
    assert complaints(caplog) == [("Couldn't apply scheduled task sweep: out of memory", None)]


def complaints(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    """The worker's, each with its traceback: threads of other tests have a log as well."""
    return [
        (record.getMessage(), record.exc_info)
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("worker.")
    ]
