"""Redis is only a hint: whatever becomes of it, the worker goes on and nothing is lost."""

import signal
import time

import pytest
from celery import Celery

from app.core import heartbeat
from app.core.redis import broker_url, connect
from app.providers.models import ValidationStatus
from tests.integration.worker.conftest import (
    QUEUE,
    Save,
    Site,
    nobody_else_writes,
    on_sqlite,
    taking_nothing,
)
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import wait_until

CONNECTED = ValidationStatus.CONNECTED
THREADS = 8
pytestmark = [on_sqlite, pytest.mark.xdist_group("worker")]


def test_a_flushed_redis_loses_nothing(site: Site, save: Save) -> None:
    with taking_nothing(site), site.redis.client() as client:
        provider_id = save()
        wait_until(lambda: client.llen(QUEUE), "the nudge is queued")
        client.flushall()
    site.wait_for(provider_id, CONNECTED)
    site.wait_for(save(), CONNECTED)


def test_a_redis_that_dies_under_open_messages_and_returns(site: Site, save: Save) -> None:
    received = "Task usage.maintain["
    before = site.worker.output().count(received)
    with nobody_else_writes(), Celery(broker=broker_url(site.redis.url)) as sender:
        for _ in range(THREADS + 1):
            sender.send_task("usage.maintain", ignore_result=True)
        # One more than there are threads: taken, and not begun.
        site.wait_for_log(received, "the worker is busy", before + THREADS + 1)
        site.redis.kill()
    provider_id = save()
    assert site.status(provider_id) is ValidationStatus.PENDING
    site.redis.start()
    site.wait_for(provider_id, CONNECTED)


def test_a_redis_that_hangs_holds_up_no_save_and_loses_nothing(site: Site, save: Save) -> None:
    missed = site.worker.output().count("no heartbeat")
    site.redis.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        saved = [save() for _ in range(10)]
        # Each would wait for a second at least, for the hint and for the nudge.
        assert time.monotonic() - began < 15
        site.wait_for_log("no heartbeat", "the worker notices", missed + 1)
    finally:
        site.redis.send(signal.SIGCONT)
    for provider_id in saved:
        site.wait_for(provider_id, CONNECTED)


def test_a_redis_that_dies_in_the_middle_of_a_check(
    site: Site, save: Save, endpoint: LoopbackProvider
) -> None:
    endpoint.hold()
    first = save()
    endpoint.wait_for_requests(1)
    site.redis.kill()
    endpoint.release()
    site.wait_for(first, CONNECTED)
    second = save()
    site.redis.start()
    site.wait_for(second, CONNECTED)


def test_a_worker_shows_that_it_lives(site: Site) -> None:
    with connect(site.redis.url) as client:
        wait_until(lambda: heartbeat.is_alive(client), "the heartbeat")
        client.flushall()
        wait_until(lambda: heartbeat.is_alive(client), "the heartbeat is back")
        [name] = client.scan_iter(match=heartbeat.PREFIX + "*")
        assert 0 < client.ttl(name) <= heartbeat.TTL
