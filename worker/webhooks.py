"""Deliveries of webhooks: what is lost is in the outbox still."""

import threading
from typing import Any

from celery.signals import worker_ready

from app.webhooks import delivery
from worker.celery_app import app


class Room:
    """How many threads of this worker may wait for receivers at once: not quite half of them.

    Ten addresses that hang would otherwise hold up every check of a provider. Tests of agents,
    which are bounded as well, take four of the smallest worker's eight: one is left to the rest.
    """

    def __init__(self, threads: int) -> None:
        self._places = threading.Semaphore(max(1, threads // 2 - 1))

    def deliver(self, webhook_id: int) -> None:
        """Send one webhook what is due to it; what finds no room stays due."""
        if not self._places.acquire(blocking=False):
            return
        try:
            delivery.deliver_due(webhook_id)
        finally:
            self._places.release()
        delivery.sweep(at_most=1)  # the next one that found none


_rooms = [Room(threads=8)]  # one: Celery's signals carry no state of ours


@worker_ready.connect
def measure(sender: Any, **_: Any) -> None:
    """The worker's threads are known."""
    _rooms[:] = [Room(sender.pool.limit)]


@app.task(name="webhooks.deliver")
def deliver(webhook_id: int) -> None:
    """Send one webhook what is due to it."""
    _rooms[0].deliver(webhook_id)


@app.task(name="webhooks.sweep")
def sweep() -> None:
    """Find what is due: new, lost, or to be tried again."""
    delivery.sweep()
