"""Counts for /metrics: kept in memory, added up over all processes in Redis once a second.

A count is a hint like any other: with Redis away it waits in its process, and a Redis that is
flushed starts from zero, which Prometheus takes for the restart of a server.
"""

import threading
import time
from collections import Counter

from flask import Flask, current_app
from redis import Redis, RedisError

from app.core.jobs import Publisher

KEY = "switchyard:counts"
SEND_EVERY = 1.0  # seconds
PAUSE_AFTER_FAILURE = 10.0
LOST_AFTER = 30.0  # a send that was asked for and never came, as after a fork
SEPARATOR = "\x1f"

Count = tuple[str, ...]
"""What is counted, and its labels."""


class Counters:
    """The counts of one process."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._counts: Counter[Count] = Counter()
        self._lock = threading.Lock()
        self._next_send = 0.0

    def add(self, *count: str, amount: int = 1) -> None:
        """Count something, by its name and labels. Waits for nothing."""
        now = time.monotonic()
        with self._lock:
            self._counts[count] += amount
            if now < self._next_send:
                return
            self._next_send = now + LOST_AFTER
        self._publisher.call(self.send)

    def send(self, redis: Redis) -> None:
        """Add what was counted to what all processes have. Raises RedisError, and loses nothing."""
        with self._lock:
            news, self._counts = self._counts, Counter()
        pause = PAUSE_AFTER_FAILURE
        try:
            with redis.pipeline(transaction=False) as pipe:
                for count, amount in news.items():
                    pipe.hincrby(KEY, SEPARATOR.join(count), amount)
                pipe.execute()
            pause = SEND_EVERY
        except RedisError:
            with self._lock:
                self._counts.update(news)
            raise
        finally:
            self._next_send = time.monotonic() + pause


def read_counts(redis: Redis) -> dict[Count, int]:
    """What all processes have counted. Raises RedisError."""
    stored: dict[str, str] = redis.hgetall(KEY)  # type: ignore[assignment]
    return {tuple(name.split(SEPARATOR)): int(amount) for name, amount in stored.items()}


def init_app(app: Flask) -> None:
    """Give the app its counters."""
    app.extensions["counters"] = Counters(app.extensions["publisher"])


def counters() -> Counters:
    """This process's counters."""
    found: Counters = current_app.extensions["counters"]
    return found
