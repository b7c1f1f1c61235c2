"""The worker's sign of life, for /readyz."""

import logging
import os
import threading
from contextlib import suppress
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from redis import RedisError

from app.core import heartbeat
from app.core.redis import connect
from worker.celery_app import flask_app

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that beats until it is stopped."""

    def __init__(self, redis_url: str, name: str) -> None:
        self._redis = connect(redis_url)
        self._name = name
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Beat at once, then every few seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Take the sign of life back."""
        self._stopped.set()
        self._thread.join(2 * heartbeat.EVERY)
        with suppress(RedisError):  # without Redis it expires by itself
            heartbeat.end(self._redis, self._name)
        self._redis.close()

    def _run(self) -> None:
        while True:
            try:
                heartbeat.beat(self._redis, self._name)
            except RedisError as error:
                log.warning("no heartbeat: %s", type(error).__name__)
            if self._stopped.wait(heartbeat.EVERY):
                return


_beating: list[Heartbeat] = []  # one at most: Celery's signals carry no state of ours


@worker_ready.connect
def start(sender: Any, **_: Any) -> None:
    """The worker takes tasks from now on."""
    # Two workers on one machine have one hostname.
    name = f"{sender.hostname}:{os.getpid()}"
    beating = Heartbeat(flask_app().config["REDIS_URL"], name)
    _beating.append(beating)
    beating.start()


@worker_shutdown.connect
def stop(**_: Any) -> None:
    """The worker is gone in a moment."""
    while _beating:
        _beating.pop().stop()
