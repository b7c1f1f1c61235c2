"""Checks of providers.

Acknowledged early, unlike other tasks: the database hands a lost check out again, by its lease,
while a message that is still open when Redis goes away takes the worker down (kombu 5.7 fails to
put it back on a closed connection).
"""

from typing import Any

from celery.signals import worker_ready

from app.health import services
from worker.celery_app import app, flask_app


@app.task(name="health.check", acks_late=False)
def check(provider_id: int) -> None:
    """Check one provider, if that is due and nobody else does."""
    services.run_check(provider_id)


@app.task(name="health.sweep", acks_late=False)
def sweep() -> None:
    """Queue what is due: new, lost, or of age."""
    services.sweep()


@worker_ready.connect
def catch_up(**_: Any) -> None:
    """What was lost while no worker ran does not wait for the schedule."""
    with flask_app().app_context():
        services.bring_forward()
    sweep.delay()
