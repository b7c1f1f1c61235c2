"""Deliveries: claimed by a lease, sent outside any transaction, recorded, tried again.

One webhook's messages go out one after the other, so that an address that hangs holds up one worker
thread and nobody else's messages. A nudge is only a hint: a sweep finds what a lost one left, what
is to be tried again, and what a worker that died had begun.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.core.clock import utcnow
from app.core.crypto import KeyUnreadable, Secret
from app.core.db import commit, db
from app.core.http import Answer, outbound
from app.core.jobs import nudge_after_commit
from app.webhooks.models import DeliveryStatus, Webhook, WebhookDelivery
from app.webhooks.services import DELIVER_JOB, cancel_pending
from app.webhooks.signing import sign_headers

BACKOFF = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600)
)
"""How long after each failed attempt the next one is made; after the last one there is none."""
MAX_ATTEMPTS = len(BACKOFF) + 1
CLAIM_MARGIN = timedelta(seconds=20)
"""How much longer than the deadline of its request an attempt may take before it counts as dead."""
BATCH = 100
"""After so many a task ends, so that a worker can be stopped."""
KEEP_FOR = timedelta(days=30)

BEGUN = "It is under way, or its worker died in it."
UNREADABLE = "The secret cannot be read any more: set another one."
URL_UNREADABLE = "The URL cannot be read, or was not entered here: enter the whole of it."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """One worker's right to make one attempt, with all it needs to do so."""

    delivery_id: int
    attempt: int
    """1 for the first."""
    url: Secret | None
    """None where it has to be entered again, like the secret."""
    message_id: str
    body: bytes
    secret: Secret | None


@dataclass(frozen=True)
class Attempt:
    """What came of it. ``error`` is None where the receiver took the message."""

    at: datetime
    http_status: int | None = None
    latency_ms: int | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the delivery keeps it."""
        return {
            "at": self.at.isoformat(),
            "http_status": self.http_status,
            "latency_ms": self.latency_ms,
            "error": self.error,
        }


def deliver_due(webhook_id: int) -> int:
    """Send one webhook what is due until one fails; how many attempts were made.

    Nothing is sent where another worker is at it.
    """
    for count in range(BATCH):
        claim = claim_next(webhook_id, utcnow())
        if claim is None:
            return count
        db.session.remove()  # no connection is held while the receiver takes its time
        attempt = _send(claim)
        record_attempt(claim, attempt)
        if attempt.error is not None:
            return count + 1
    return BATCH


def claim_next(webhook_id: int, now: datetime) -> Claim | None:
    """Take the webhook's delivery that waits longest, or None: none is due, or one is under way."""
    # The webhook's row is what two workers meet at; it is held for a moment only.
    query = sa.select(Webhook).where(Webhook.id == webhook_id).with_for_update(key_share=True)
    webhook = db.session.scalar(query.execution_options(populate_existing=True))
    if webhook is None or _is_under_way(webhook_id, now):
        db.session.rollback()
        return None
    if not webhook.is_active:
        cancel_pending(webhook)
        commit()
        return None
    delivery = _find_due(webhook_id, now)
    claim = _begin(delivery, webhook, now) if delivery is not None else None
    commit()
    return claim


def record_attempt(claim: Claim, attempt: Attempt) -> None:
    """Store what came of an attempt, and when the next one is due."""
    query = sa.select(WebhookDelivery).where(WebhookDelivery.id == claim.delivery_id)
    query = query.with_for_update().execution_options(populate_existing=True)
    delivery = db.session.scalar(query)
    if delivery is None or len(delivery.attempts) != claim.attempt:
        db.session.rollback()
        log.info("delivery %s: outcome of a void attempt ignored", claim.message_id)
        return
    delivery.attempts = [*delivery.attempts[:-1], attempt.to_json()]
    delivery.lease_until = None
    if attempt.error is None:
        _finish(delivery, DeliveryStatus.DELIVERED)
    elif delivery.status is DeliveryStatus.PENDING:  # not cancelled meanwhile
        _plan_next(delivery, attempt)
    _prune(delivery.webhook_id)
    commit()


def sweep(at_most: int | None = None) -> int:
    """Nudge a worker for the webhooks that something is due for, those that wait longest first;
    how many there were."""
    now = utcnow()
    due = sa.select(WebhookDelivery.webhook_id).where(WebhookDelivery.next_attempt_at <= now)
    busy = due.where(WebhookDelivery.lease_until > now)
    waiting = due.where(WebhookDelivery.webhook_id.not_in(busy)).group_by("webhook_id")
    query = waiting.order_by(sa.func.min(WebhookDelivery.next_attempt_at), "webhook_id")
    webhook_ids = db.session.scalars(query.limit(at_most)).all()
    for webhook_id in webhook_ids:
        nudge_after_commit(db.session(), DELIVER_JOB, webhook_id)
    commit()
    return len(webhook_ids)


def _due(webhook_id: int, now: datetime) -> sa.Select[tuple[WebhookDelivery]]:
    """What the webhook's time has come for, one under way included: it stays due until settled."""
    mine = WebhookDelivery.webhook_id == webhook_id
    return sa.select(WebhookDelivery).where(mine, WebhookDelivery.next_attempt_at <= now)


def _is_under_way(webhook_id: int, now: datetime) -> bool:
    query = _due(webhook_id, now).where(WebhookDelivery.lease_until > now)
    return db.session.scalars(query.limit(1)).first() is not None


def _find_due(webhook_id: int, now: datetime) -> WebhookDelivery | None:
    """The one that waits longest. Whatever kills workers is given up here."""
    query = _due(webhook_id, now).order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.id)
    for delivery in db.session.scalars(query.limit(BATCH)):
        if len(delivery.attempts) < MAX_ATTEMPTS:
            return delivery
        _finish(delivery, DeliveryStatus.FAILED)
    return None


def _send(claim: Claim) -> Attempt:
    now, began = utcnow(), time.perf_counter()
    answer = _post(claim, int(now.timestamp()))
    latency_ms = round((time.perf_counter() - began) * 1000)
    return Attempt(now, answer.status, latency_ms, _error_of(answer))


def _post(claim: Claim, timestamp: int) -> Answer:
    if claim.url is None:
        return Answer(error=URL_UNREADABLE)
    if claim.secret is None:
        return Answer(error=UNREADABLE)
    secret = claim.secret.get_secret_value()
    signed = sign_headers(secret, claim.message_id, timestamp, claim.body)
    headers = {"Content-Type": "application/json", **signed}
    return outbound().post(claim.url.get_secret_value(), claim.body, headers)


def _error_of(answer: Answer) -> str | None:
    if answer.status is not None and 200 <= answer.status < 300:
        return None  # it has taken the message, whatever it says besides
    return answer.error or f"The receiver answered HTTP {answer.status}."


def _begin(delivery: WebhookDelivery, webhook: Webhook, now: datetime) -> Claim:
    delivery.attempts = [*delivery.attempts, Attempt(now, error=BEGUN).to_json()]
    delivery.lease_until = now + timedelta(seconds=outbound().deadline) + CLAIM_MARGIN
    return Claim(
        delivery.id,
        len(delivery.attempts),
        _opened(webhook.open_url),
        delivery.message_id,
        delivery.body,
        _opened(webhook.open_secret),
    )


def _plan_next(delivery: WebhookDelivery, attempt: Attempt) -> None:
    count = len(delivery.attempts)
    what = f"delivery {delivery.message_id} to webhook {delivery.webhook_id}"
    log.warning("%s: attempt %s of %s failed: %s", what, count, MAX_ATTEMPTS, attempt.error)
    if count >= MAX_ATTEMPTS:
        _finish(delivery, DeliveryStatus.FAILED)
    else:
        delivery.next_attempt_at = utcnow() + BACKOFF[count - 1]


def _finish(delivery: WebhookDelivery, status: DeliveryStatus) -> None:
    if status is DeliveryStatus.FAILED:
        log.error("delivery %s to webhook %s: given up", delivery.message_id, delivery.webhook_id)
    delivery.status = status
    delivery.finished_at = utcnow()
    delivery.next_attempt_at = delivery.lease_until = None


def _opened(open_it: Callable[[], Secret]) -> Secret | None:
    try:
        return open_it()
    except KeyUnreadable:
        return None


def _prune(webhook_id: int) -> None:
    """Bound the log by age; what is pending is never that old."""
    old = WebhookDelivery.created_at <= utcnow() - KEEP_FOR
    settled = WebhookDelivery.next_attempt_at.is_(None)
    mine = WebhookDelivery.webhook_id == webhook_id
    db.session.execute(sa.delete(WebhookDelivery).where(mine, old, settled))
