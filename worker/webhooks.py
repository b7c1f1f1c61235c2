"""Deliveries of webhooks: what is lost is in the outbox still."""

from app.webhooks import delivery
from worker.celery_app import app


@app.task(name="webhooks.deliver")
def deliver(webhook_id: int) -> None:
    """Send one webhook what is due to it."""
    delivery.deliver_due(webhook_id)


@app.task(name="webhooks.sweep")
def sweep() -> None:
    """Find what is due: new, lost, or to be tried again."""
    delivery.sweep()
