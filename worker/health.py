"""Checks of providers."""

from app.health import services
from worker.celery_app import app


@app.task(name="health.check")
def check(provider_id: int) -> None:
    """Check one provider, if that is due and nobody else does."""
    services.run_check(provider_id)


@app.task(name="health.sweep")
def sweep() -> None:
    """Queue what is due: new, lost, or of age."""
    services.sweep()
