"""Rate limits: exact in one process, added up over several, and never waiting for Redis."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisAway
from werkzeug.exceptions import TooManyRequests

from app.core import rate_limits
from app.core.rate_limits import MAX_WINDOWS, PAUSE_AFTER_FAILURE, RateLimiter
from tests.support.servers import RedisServer

RATE = "3 per hour"


class FakePublisher:
    """Keeps the errands until the test runs them."""

    def __init__(self) -> None:
        self.errands: list[Callable[[Any], None]] = []

    def call(self, errand: Callable[[Any], None]) -> None:
        self.errands.append(errand)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item: in the middle of an hour."""
    now = [time.time() // 3600 * 3600 + 1800]
    monkeypatch.setattr(rate_limits.time, "time", lambda: now[0])
    return now


@pytest.fixture
def connection(redis: RedisServer) -> Iterator[Redis]:
    with redis.client() as client:
        client.flushdb()
        yield client


def process() -> tuple[RateLimiter, FakePublisher]:
    """What one process has."""
    publisher = FakePublisher()
    return RateLimiter(publisher), publisher  # type: ignore[arg-type]


def allowed(limiter: RateLimiter, times: int, caller: str = "me", name: str = "api") -> int:
    """How many of so many hits get through."""
    through = 0
    for _ in range(times):
        try:
            limiter.hit(name, RATE, caller)
            through += 1
        except TooManyRequests:
            continue
    return through


def test_each_caller_and_each_limit_counts_for_itself(clock: list[float]) -> None:
    limiter, _ = process()
    assert allowed(limiter, 5) == 3
    assert allowed(limiter, 5, caller="you") == 3
    assert allowed(limiter, 5, name="login") == 3
    assert clock


def test_a_refusal_says_when_to_come_again(clock: list[float]) -> None:
    limiter, _ = process()
    allowed(limiter, 3)
    with pytest.raises(TooManyRequests, match="3 per 1 hour") as refused:
        limiter.hit("api", RATE, "me")
    assert refused.value.retry_after == 1800
    clock[0] += 1800
    assert allowed(limiter, 5) == 3


def test_several_processes_share_one_limit(clock: list[float], connection: Redis) -> None:
    first, _ = process()
    second, _ = process()
    assert allowed(first, 2) == 2
    first.exchange(connection)
    assert allowed(second, 1) == 1
    second.exchange(connection)
    assert allowed(second, 5) == 0
    first.exchange(connection)  # nothing new of its own to tell, and so nothing learned
    assert allowed(first, 5) == 1
    first.exchange(connection)
    clock[0] += 3600
    assert allowed(second, 5) == 3


def test_a_flushed_redis_takes_nothing_away(clock: list[float], connection: Redis) -> None:
    limiter, _ = process()
    allowed(limiter, 2)
    limiter.exchange(connection)
    connection.flushdb()
    assert allowed(limiter, 1) == 1
    limiter.exchange(connection)
    assert allowed(limiter, 5) == 0
    assert clock


def test_counts_in_redis_expire(clock: list[float], connection: Redis) -> None:
    limiter, _ = process()
    allowed(limiter, 1)
    limiter.exchange(connection)
    (key,) = connection.keys("switchyard:rate:*")
    assert 0 < connection.ttl(key) <= 3600 + 60
    assert clock


def test_one_exchange_at_a_time_is_asked_for(clock: list[float], connection: Redis) -> None:
    limiter, publisher = process()
    allowed(limiter, 3)
    clock[0] += 5
    allowed(limiter, 3)
    assert len(publisher.errands) == 1
    publisher.errands.pop()(connection)
    allowed(limiter, 1)
    assert publisher.errands == []
    clock[0] += 0.6
    allowed(limiter, 1)
    assert len(publisher.errands) == 1


def test_a_dead_redis_is_left_alone_for_a_while(clock: list[float]) -> None:
    limiter, publisher = process()
    allowed(limiter, 1)
    with Redis(port=1) as dead, pytest.raises(RedisAway):
        publisher.errands.pop()(dead)
    clock[0] += PAUSE_AFTER_FAILURE - 1
    assert allowed(limiter, 5) == 2
    assert publisher.errands == []
    clock[0] += 2
    allowed(limiter, 1)
    assert len(publisher.errands) == 1


def test_however_many_callers_come_the_memory_is_bounded(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_WINDOWS <= 100_000
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 10)
    limiter, _ = process()
    for n in range(50):
        limiter.hit("api", RATE, f"caller {n}")
    assert len(limiter._counts) == 10
    assert clock
