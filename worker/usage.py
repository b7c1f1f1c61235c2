"""The upkeep of usage. Summaries are right without it, and slower."""

from typing import Any

from celery.signals import worker_ready

from app.usage import retention
from worker.celery_app import app


@app.task(name="usage.maintain")
def maintain() -> None:
    """Sums of the days that are over, months for what is to come, an end to what is too old."""
    retention.maintain()


@worker_ready.connect
def catch_up(**_: Any) -> None:
    """A worker that is started often would never come to its schedule."""
    maintain.delay()
