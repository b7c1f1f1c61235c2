"""Hints: the bell inside a process, the publisher to all others."""

import threading
import time
from unittest.mock import Mock

import pytest

from app.core import jobs
from app.core.jobs import PENDING_LIMIT, REV_CHANNEL, Bell, Publisher
from tests.support.processes import wait_until
from tests.support.servers import RedisServer


def test_the_bell_wakes_whoever_has_seen_less() -> None:
    bell = Bell()
    bell.ring(5)
    began = time.monotonic()
    bell.wait(4, timeout=60)  # known already
    assert time.monotonic() - began < 30
    bell.ring(3)  # older news
    bell.wait(5, timeout=0.01)
    sleeper = threading.Thread(target=bell.wait, args=(5, 60), daemon=True)
    sleeper.start()
    bell.ring(6)
    sleeper.join(30)
    assert not sleeper.is_alive()


def test_a_hint_is_no_error_where_no_thread_can_be_started(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(redis.url)
    with redis.client() as listener, listener.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(REV_CHANNEL)
        heard.get_message(timeout=30)
        with monkeypatch.context() as patch:
            patch.setattr("threading.Thread.start", Mock(side_effect=RuntimeError))
            publisher.hint(1)
        publisher.hint(2)
        assert [heard.get_message(timeout=30)["data"] for _ in range(2)] == ["1", "2"]
    publisher.stop()


def test_a_stopped_bell_lets_everybody_go() -> None:
    bell = Bell()
    sleeper = threading.Thread(target=bell.wait, args=(0, 60), daemon=True)
    sleeper.start()
    bell.stop()
    sleeper.join(30)
    assert not sleeper.is_alive()


def test_whoever_has_rung_lets_the_hub_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_GIVE_WAY", 60)
    bell, done = Bell(), []
    bell.give_way(1)  # nobody sleeps on the bell: nobody is waited for

    def hub() -> None:
        bell.wait(1, timeout=60)
        done.append("pushed")
        bell.wait(2, timeout=60)

    sleeper = threading.Thread(target=hub)
    sleeper.start()
    wait_until(lambda: bell._heard == 1, "the hub sleeps", 30)
    bell.ring(2)
    bell.give_way(2)
    assert done == ["pushed"]
    bell.stop()
    sleeper.join(30)


def test_a_hub_that_takes_long_is_not_waited_for() -> None:
    bell = Bell()
    bell.wait(1, timeout=0)
    bell.ring(2)
    bell.give_way(2)  # returns although nobody has heard of it


def test_hints_and_nudges_reach_redis(redis: RedisServer) -> None:
    publisher = Publisher(redis.url)
    with redis.client() as client, client.pubsub() as channel:
        channel.subscribe(REV_CHANNEL)
        channel.get_message(timeout=1)
        client.delete("celery")
        publisher.hint(41)
        publisher.nudge("health.check", 7)
        publisher.hint(42)
        heard: list[str] = []

        def listen() -> bool:
            message = channel.get_message(timeout=0.1)
            if message is not None:
                heard.append(message["data"])
            return heard == ["41", "42"]

        wait_until(listen, "both revs")
        queued = wait_until(lambda: client.lindex("celery", 0), "the job")
        assert "health.check" in str(queued)
        client.delete("celery")
    publisher.stop()


def test_a_dead_redis_costs_the_caller_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    publisher = Publisher("redis://127.0.0.1:1")
    began = time.monotonic()
    for rev in range(PENDING_LIMIT + 100):
        publisher.hint(rev)
    publisher.nudge("health.check", 1)
    assert time.monotonic() - began < 30, "ten thousand of them in less than a millisecond each"
    wait_until(lambda: "not sent" in caplog.text, "a line in the log")
    publisher.stop(timeout=30)
    assert "publisher" not in {thread.name for thread in set(threading.enumerate()) - before}
