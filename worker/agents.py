"""Tests of agents: the database hands a lost one out again."""

from typing import Any

from celery.signals import worker_ready

from app.agents import agent_tests
from worker.celery_app import app


@app.task(name="agents.test")
def run(test_id: int) -> None:
    """Run one test, if nobody else does."""
    agent_tests.run_test(test_id)


@app.task(name="agents.sweep_tests")
def sweep_tests() -> None:
    """Queue what was lost."""
    agent_tests.sweep()


@worker_ready.connect
def catch_up(**_: Any) -> None:
    """What was lost while no worker ran does not wait for the schedule."""
    sweep_tests.delay()
