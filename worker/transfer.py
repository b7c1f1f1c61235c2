"""Seeding, as a job."""

from worker.celery_app import app


@app.task(name="transfer.seed", when_away="nothing is made; send it again")
def seed() -> None:
    """Make sure that the default agent and its provider exist."""
    from app.transfer import seed as seeding

    seeding.seed()
