"""Rate limits: counted in memory, added up over all processes through Redis twice a second.

A request never waits for Redis: it counts in its own process, and the publisher's thread exchanges
counts with the others. So several processes together may let half a second's worth too much
through; with Redis dead or hung each limits on its own. See docs/decisions/0007-rate-limits.md.
"""

import math
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import limits
from flask import Flask, current_app
from redis import Redis
from werkzeug.exceptions import TooManyRequests

from app.core.jobs import Publisher

EXCHANGE_EVERY = 0.5  # seconds
PAUSE_AFTER_FAILURE = 10.0
LOST_AFTER = 30.0  # an exchange that was asked for and never came, as after a fork
MAX_WINDOWS = 50_000

_parse = lru_cache(limits.parse)


class _Key(NamedTuple):
    """Whose hits of which limit; windows are cut by the clock, so that all processes agree."""

    limit: str
    caller: str
    ends_at: int


@dataclass(slots=True)
class _Count:
    own: int = 0
    shared: int = 0
    """How many of the own ones the others know of."""
    others: int = 0


class RateLimiter:
    """The limits of one process."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._counts: dict[_Key, _Count] = {}
        self._lock = threading.Lock()
        self._next_exchange = 0.0

    def hit(self, name: str, rate: str, caller: str) -> None:
        """Count one request of ``caller`` under the limit ``name``. Raises TooManyRequests."""
        limit = _parse(rate)
        seconds, now = limit.get_expiry(), time.time()
        ends_at = (int(now // seconds) + 1) * seconds
        hits = self._count(_Key(name, caller, ends_at))
        if now >= self._next_exchange:
            self._next_exchange = now + LOST_AFTER
            self._publisher.call(self.exchange)
        if hits > limit.amount:
            wait = max(1, math.ceil(ends_at - now))
            raise TooManyRequests(f"Too many requests: at most {limit}.", retry_after=wait)

    def exchange(self, redis: Redis) -> None:
        """Tell the other processes of the hits here, and learn of theirs."""
        pause = PAUSE_AFTER_FAILURE
        try:
            self._exchange(redis)
            pause = EXCHANGE_EVERY
        finally:
            self._next_exchange = time.time() + pause

    def _count(self, key: _Key) -> int:
        with self._lock:
            if key not in self._counts:
                self._make_room()
                self._counts[key] = _Count()
            count = self._counts[key]
            count.own += 1
            return count.own + count.others

    def _make_room(self) -> None:
        while len(self._counts) >= MAX_WINDOWS:
            del self._counts[next(iter(self._counts))]

    def _exchange(self, redis: Redis) -> None:
        now = time.time()
        with self._lock:
            self._counts = {key: it for key, it in self._counts.items() if key.ends_at > now}
            news = [(k, it, it.own - it.shared) for k, it in self._counts.items()]
        news = [(key, count, added) for key, count, added in news if added]
        with redis.pipeline(transaction=False) as pipe:
            for key, _count, added in news:
                where = "switchyard:rate:{}:{}:{}".format(*key)
                pipe.incrby(where, added)
                pipe.expireat(where, key.ends_at + 60)
            totals = pipe.execute()[::2]
        for (_key, count, added), total in zip(news, totals, strict=True):
            count.shared += added
            # A Redis that was flushed in between knows of less than this process itself.
            count.others = max(0, total - count.shared)


def init_app(app: Flask) -> None:
    """Give the app its limits."""
    app.extensions["rate_limiter"] = RateLimiter(app.extensions["publisher"])


def check_rate(setting: str, caller: str) -> None:
    """Count a request of ``caller`` under a setting's rate. Raises TooManyRequests."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    limiter: RateLimiter = app.extensions["rate_limiter"]
    limiter.hit(setting, app.config[setting], caller)
