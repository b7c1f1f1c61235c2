"""Hints over a real Redis: rung, survived, and never believed blindly."""

import threading
from collections.abc import Iterator

import pytest

from app.core.jobs import REV_CHANNEL, Bell
from app.push import listener
from tests.support.processes import wait_until
from tests.support.servers import RedisServer, redis_server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def bell(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    """A bell that the hints of ``own_redis`` ring."""
    monkeypatch.setattr(listener, "PAUSE", 0.05)
    monkeypatch.setattr(listener, "PATIENCE", 0.05)
    before = set(threading.enumerate())
    bell, stopped = Bell(), threading.Event()
    listener.start(own_redis.url, bell, stopped)
    wait_until(lambda: listeners(own_redis) == 1, "the subscription")
    yield bell
    stopped.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


def listeners(redis: RedisServer) -> int:
    with redis.client() as client:
        return int(client.pubsub_numsub(REV_CHANNEL)[0][1])


def publish(redis: RedisServer, *hints: object) -> None:
    with redis.client() as client:
        for hint in hints:
            client.publish(REV_CHANNEL, str(hint))


def test_a_hint_rings_the_bell(own_redis: RedisServer, bell: Bell) -> None:
    publish(own_redis, 7)
    assert bell.wait(6, 5)
    assert not bell.wait(7, 0)


def test_what_is_no_rev_is_passed_over(own_redis: RedisServer, bell: Bell) -> None:
    publish(own_redis, "", "rev", "-1", "1.5", "9" * 5000, "²", 3)
    assert bell.wait(2, 5)
    assert not bell.wait(3, 0)


def test_hints_come_again_after_redis_died(own_redis: RedisServer, bell: Bell) -> None:
    own_redis.kill()
    own_redis.start()
    wait_until(lambda: listeners(own_redis) == 1, "the subscription after the crash")
    publish(own_redis, 8)
    assert bell.wait(7, 5)
