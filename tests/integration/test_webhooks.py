"""Deliveries to a receiver on the loopback."""

import base64
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.http import Outbound
from app.webhooks import delivery as deliveries
from app.webhooks import services
from app.webhooks.delivery import BACKOFF, KEEP_FOR, MAX_ATTEMPTS
from app.webhooks.models import DeliveryStatus, WebhookDelivery
from tests.support.loopback_provider import LoopbackProvider, SeenRequest
from tests.support.processes import free_port, wait_until

SECRET = "a secret canary of some length"
PENDING, DELIVERED, FAILED, CANCELLED = DeliveryStatus

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"])
"""For what another database would not do differently."""

DATA = {"message": "Grüße", "provider": {"id": 1}}


@pytest.fixture(autouse=True)
def context(app: Flask, nudges: list[tuple[str, Any]]) -> Iterator[None]:
    """Nothing goes to a worker: each test does its part."""
    with app.app_context():
        yield


@pytest.fixture
def receiver(app: Flask) -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as receiver:
        receiver.answer_json({})
        app.extensions["outbound"] = Outbound([receiver.address], deadline=60)
        yield receiver


@pytest.fixture
def webhook_id(receiver: LoopbackProvider) -> int:
    return make(receiver)


def make(receiver: LoopbackProvider, name: str = "pager", **data: Any) -> int:
    body = {"name": name, "url": f"http://{receiver.address}/hook?key=1%2F2", "secret": SECRET}
    webhook_id = services.create_webhook(body | data)[0].id
    db.session.rollback()
    return webhook_id


def announce(count: int = 1) -> None:
    for _ in range(count):
        services.announce("provider.down", DATA)
    commit()


def stored() -> list[WebhookDelivery]:
    """Every delivery as it is now, oldest first, detached."""
    db.session.rollback()
    found = list(db.session.scalars(sa.select(WebhookDelivery).order_by(WebhookDelivery.id)))
    for row in found:
        db.session.expunge(row)
    db.session.rollback()
    return found


def move(**columns: Any) -> None:
    """Move every delivery's clock."""
    db.session.execute(sa.update(WebhookDelivery).values(**columns))
    commit()


def deliver_again(webhook_id: int) -> None:
    """The next attempt, as if its time had come."""
    move(next_attempt_at=utcnow())
    assert deliveries.deliver_due(webhook_id) == 1


def assert_signed(seen: SeenRequest, secret: str = SECRET) -> None:
    """As a receiver would check it."""
    head = (seen.headers["webhook-id"], seen.headers["webhook-timestamp"])
    content = ".".join(head).encode() + b"." + seen.body
    digest = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest())
    assert seen.headers["webhook-signature"] == f"v1,{digest.decode()}"
    assert abs(int(head[1]) - utcnow().timestamp()) < 600


@on_sqlite
def test_an_event_arrives_signed(
    webhook_id: int, receiver: LoopbackProvider, nudges: list[tuple[str, Any]]
) -> None:
    announce()
    assert nudges == [("webhooks.deliver", webhook_id)]

    assert deliveries.deliver_due(webhook_id) == 1

    (seen,) = receiver.requests
    (row,) = stored()
    assert (seen.method, seen.path) == ("POST", "/hook?key=1%2F2")
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["webhook-id"] == row.message_id
    assert json.loads(seen.body) == {
        "type": "provider.down",
        "timestamp": row.created_at.isoformat(),
        "data": DATA,
    }
    assert_signed(seen)
    assert (row.status, row.next_attempt_at, row.lease_until) == (DELIVERED, None, None)
    assert row.finished_at is not None
    (attempt,) = row.attempts
    assert (attempt["http_status"], attempt["error"]) == (200, None)
    assert attempt["latency_ms"] >= 0
    assert deliveries.deliver_due(webhook_id) == 0


def test_a_failed_attempt_is_made_again_with_the_same_id(
    webhook_id: int, receiver: LoopbackProvider
) -> None:
    announce()
    receiver.answer_status(500)
    assert deliveries.deliver_due(webhook_id) == 1
    (row,) = stored()
    assert row.status is PENDING
    assert row.next_attempt_at is not None
    assert timedelta() < row.next_attempt_at - utcnow() <= BACKOFF[0]
    assert deliveries.deliver_due(webhook_id) == 0, "its time has not come"

    deliver_again(webhook_id)
    (row,) = stored()
    assert row.next_attempt_at is not None
    assert BACKOFF[0] < row.next_attempt_at - utcnow() <= BACKOFF[1]
    receiver.answer_status(204)
    deliver_again(webhook_id)

    (row,) = stored()
    assert row.status is DELIVERED
    assert [it["http_status"] for it in row.attempts] == [500, 500, 204]
    assert [it["error"] for it in row.attempts] == ["The receiver answered HTTP 500."] * 2 + [None]
    assert {it.headers["webhook-id"] for it in receiver.requests} == {row.message_id}
    assert len({it.body for it in receiver.requests}) == 1
    for seen in receiver.requests:
        assert_signed(seen)


@on_sqlite
def test_it_is_given_up_in_the_end(webhook_id: int, receiver: LoopbackProvider) -> None:
    announce()
    receiver.answer_status(410)
    for _ in range(MAX_ATTEMPTS):
        deliver_again(webhook_id)
    (row,) = stored()
    assert (row.status, row.next_attempt_at) == (FAILED, None)
    assert len(row.attempts) == MAX_ATTEMPTS
    assert deliveries.deliver_due(webhook_id) == 0


@on_sqlite
def test_every_refusal_says_why(
    app: Flask, webhook_id: int, receiver: LoopbackProvider, tmp_path: Any
) -> None:
    announce()
    for behave, reason in (
        (lambda: receiver.redirect_to("http://127.0.0.1/"), "redirects are not followed"),
        (receiver.hang_up, "broke off"),
        (receiver.hold, "No complete answer within 0.5 s."),
        (receiver.stop, "nothing listens there"),
    ):
        behave()
        deadline = 0.5 if behave == receiver.hold else 60
        app.extensions["outbound"] = Outbound([receiver.address], deadline)
        deliver_again(webhook_id)
        assert reason in stored()[0].attempts[-1]["error"]
    assert stored()[0].status is PENDING


@on_sqlite
def test_what_the_receiver_says_besides_does_not_matter(
    webhook_id: int, receiver: LoopbackProvider
) -> None:
    announce()
    receiver.answer_huge()
    deliveries.deliver_due(webhook_id)
    assert stored()[0].status is DELIVERED


@on_sqlite
def test_a_private_address_is_not_touched(app: Flask, receiver: LoopbackProvider) -> None:
    app.extensions["outbound"] = Outbound([f"127.0.0.1:{free_port()}"], deadline=60)
    webhook_id = make(receiver)
    announce()
    deliveries.deliver_due(webhook_id)
    (row,) = stored()
    assert "OUTBOUND_ALLOW" in row.attempts[0]["error"]
    assert row.status is PENDING
    assert receiver.requests == []


def test_one_after_the_other_and_nobody_waits_for_another_receiver(
    app: Flask, receiver: LoopbackProvider
) -> None:
    webhook_id = make(receiver, url=f"{receiver.openai_url}/chat/completions")
    announce(3)
    receiver.hold()

    def work() -> None:
        with app.app_context():
            deliveries.deliver_due(webhook_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    receiver.wait_for_requests(1, timeout=60)
    with LoopbackProvider() as quick:
        quick.answer_json({})
        app.extensions["outbound"] = Outbound([quick.address], deadline=60)
        other = make(quick, "other")
        services.request_test(other)
        db.session.remove()
        assert db.engine.pool.checkedout() <= 3  # type: ignore[attr-defined]  # of those that wait
        assert deliveries.deliver_due(other) == 1
        app.extensions["outbound"] = Outbound([receiver.address], deadline=60)
    assert len(receiver.requests) == 1
    receiver.answer_ok()
    for thread in threads:
        thread.join(60)

    ids = [it.headers["webhook-id"] for it in receiver.requests]
    assert ids == [row.message_id for row in stored() if row.webhook_id == webhook_id]
    assert {row.status for row in stored()} == {DELIVERED}


def test_a_failure_lets_the_rest_wait_for_the_sweep(
    webhook_id: int, receiver: LoopbackProvider, nudges: list[tuple[str, Any]]
) -> None:
    for _ in range(3):
        services.announce("provider.down", DATA)
    commit()
    assert nudges == [("webhooks.deliver", webhook_id)]
    receiver.answer_status(503)
    assert deliveries.deliver_due(webhook_id) == 1
    nudges.clear()
    assert deliveries.sweep() == 1
    assert nudges == [("webhooks.deliver", webhook_id)]
    receiver.answer_json({})
    assert deliveries.deliver_due(webhook_id) == 2
    assert [row.status for row in stored()] == [PENDING, DELIVERED, DELIVERED]
    assert deliveries.sweep() == 0, "nothing is due"


def test_a_worker_that_died_is_replaced(webhook_id: int, receiver: LoopbackProvider) -> None:
    announce()
    claim = deliveries.claim_next(webhook_id, utcnow())
    assert claim is not None
    assert deliveries.claim_next(webhook_id, utcnow()) is None
    assert deliveries.sweep() == 0, "its lease stands"

    move(lease_until=utcnow())
    assert deliveries.sweep() == 1
    assert deliveries.deliver_due(webhook_id) == 1

    (row,) = stored()
    assert row.status is DELIVERED
    assert [it["error"] for it in row.attempts] == [deliveries.BEGUN, None]
    late = deliveries.Attempt(utcnow(), http_status=500, latency_ms=1, error="late")
    deliveries.record_attempt(claim, late)
    assert stored()[0].attempts == row.attempts, "it comes too late to count"


@on_sqlite
def test_what_kills_workers_is_given_up(webhook_id: int, receiver: LoopbackProvider) -> None:
    announce()
    for _ in range(MAX_ATTEMPTS):
        assert deliveries.claim_next(webhook_id, utcnow()) is not None
        move(lease_until=utcnow())
    assert deliveries.claim_next(webhook_id, utcnow()) is None
    assert stored()[0].status is FAILED
    announce()
    assert deliveries.deliver_due(webhook_id) == 1
    assert [row.status for row in stored()] == [FAILED, DELIVERED]


def test_a_webhook_that_goes_to_sleep_meanwhile(
    webhook_id: int, receiver: LoopbackProvider
) -> None:
    announce(2)
    claim = deliveries.claim_next(webhook_id, utcnow())
    assert claim is not None
    services.update_webhook(webhook_id, {"is_active": False})
    failed = deliveries.Attempt(utcnow(), http_status=500, latency_ms=1, error="no")
    deliveries.record_attempt(claim, failed)
    assert [(row.status, row.next_attempt_at) for row in stored()] == [(CANCELLED, None)] * 2

    # Announced by a transaction that had not seen it fall asleep.
    move(status=PENDING, next_attempt_at=utcnow())
    assert deliveries.deliver_due(webhook_id) == 0
    assert {row.status for row in stored()} == {CANCELLED}
    assert receiver.requests == []


def test_a_webhook_that_goes_away_meanwhile(webhook_id: int, receiver: LoopbackProvider) -> None:
    announce()
    claim = deliveries.claim_next(webhook_id, utcnow())
    assert claim is not None
    services.delete_webhook(webhook_id)
    deliveries.record_attempt(claim, deliveries.Attempt(utcnow(), http_status=200))
    assert stored() == []
    assert deliveries.deliver_due(webhook_id) == 0


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_deleted_webhook_takes_down_nothing_that_is_being_announced(
    app: Flask, webhook_id: int
) -> None:
    services.announce("provider.down", DATA)
    waiting = sa.text("SELECT 1 FROM pg_locks WHERE NOT granted")

    def delete() -> None:
        with app.app_context():
            services.delete_webhook(webhook_id)

    def is_held_up() -> bool:
        with db.engine.connect() as connection:
            return connection.scalar(waiting) is not None

    thread = threading.Thread(target=delete)
    thread.start()
    wait_until(lambda: is_held_up() or not thread.is_alive(), "the delete waits, or is done", 30)
    commit()
    thread.join(60)
    assert stored() == []
    announce()


@on_sqlite
def test_an_unreadable_secret_is_a_reason_not_a_crash(
    webhook_id: int, receiver: LoopbackProvider
) -> None:
    announce()
    table = sa.table("webhooks", sa.column("secret_sealed"))
    db.session.execute(sa.update(table).values(secret_sealed="gAAAAAforeign"))
    commit()
    deliveries.deliver_due(webhook_id)
    assert stored()[0].attempts[0]["error"] == deliveries.UNREADABLE
    assert receiver.requests == []
    services.update_webhook(webhook_id, {"secret": "another secret of mine"})
    deliver_again(webhook_id)
    assert_signed(receiver.requests[0], "another secret of mine")


def test_the_latest_of_each_is_found(webhook_id: int, receiver: LoopbackProvider) -> None:
    other, quiet = make(receiver, "other"), make(receiver, "quiet", events=["budget.ok"])
    announce(3)
    services.request_test(other)
    found = services.find_latest([webhook_id, other, quiet])
    assert found.keys() == {webhook_id, other}
    assert found[webhook_id].event == "provider.down"
    assert found[webhook_id].id == max(row.id for row in stored() if row.webhook_id == webhook_id)
    assert services.find_latest([other])[other].event == "webhook.test"


def test_the_log_is_kept_for_a_month(webhook_id: int, receiver: LoopbackProvider) -> None:
    announce(2)
    deliveries.deliver_due(webhook_id)
    move(created_at=utcnow() - KEEP_FOR)
    announce()
    deliveries.deliver_due(webhook_id)
    assert len(stored()) == 1


@on_sqlite
def test_no_secret_in_rows_nudges_or_logs(
    webhook_id: int,
    receiver: LoopbackProvider,
    nudges: list[tuple[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    announce()
    receiver.answer_status(500)
    deliveries.deliver_due(webhook_id)
    deliver_again(webhook_id)
    claim = deliveries.claim_next(webhook_id, utcnow() + timedelta(days=1))
    for text in (
        str([vars(row) for row in stored()]),
        str(nudges),
        caplog.text,
        repr(claim),
        str([(it.headers, it.body) for it in receiver.requests]),
    ):
        assert text
        assert SECRET not in text
    assert "provider.down" in caplog.text
    assert "attempt 1 of 8 failed" in caplog.text
