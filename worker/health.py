"""Checks of providers: a nudge and the schedule both say "look what is due"."""

from typing import Any

from celery.signals import worker_ready, worker_shutting_down

from app.health import claims
from app.health.prober import Prober
from worker.celery_app import app, flask_app

_prober = Prober()


@app.task(name="health.check")
def check(_provider_id: int) -> None:
    """Somebody saved this provider, or asked for its check: it is due now, before all others."""
    _prober.run()


@app.task(name="health.sweep")
def sweep() -> None:
    """Check what is due: new, lost, or of age."""
    _prober.run()


@worker_ready.connect
def catch_up(**_: Any) -> None:
    """What was lost while no worker ran does not wait for the schedule."""
    with flask_app().app_context():
        claims.bring_forward()
    sweep.delay()


@worker_shutting_down.connect
def stop(**_: Any) -> None:
    """Let the checks under way end, and begin no others."""
    _prober.stop()
