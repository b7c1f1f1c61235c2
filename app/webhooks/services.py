"""The verbs of webhooks, and the one of every domain that has something to tell: ``announce``."""

import json
import logging
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from app.core.clock import utcnow
from app.core.crypto import KeyUnreadable, Secret
from app.core.db import commit, db, find_row, flush
from app.core.errors import BadRequest, Invalid, NotFound
from app.core.jobs import nudge_after_commit
from app.core.versions import check_version
from app.webhooks.models import DeliveryStatus, EventType, Webhook, WebhookDelivery
from app.webhooks.signing import new_secret
from app.webhooks.urls import ENTER_WHOLE, is_shown_form, shown_url

DELIVER_JOB = "webhooks.deliver"
UNSEEN = "It has a new secret that nobody has seen: set the receiver's own."
"""Said where a webhook was made from something that holds no secret."""
URL_MISSING = "Its URL has to be entered: what is secret in it is not stored here."
TEST_MESSAGE = "This is a test: whoever reads it is told what happens here."

log = logging.getLogger(__name__)


def announce(event: EventType | str, data: dict[str, Any]) -> None:
    """Log an event, and put it into the outbox of every active webhook that wants it.

    Part of the caller's transaction, which it neither commits nor flushes: with it the event goes
    out, or never was. ``data`` is plain JSON without secrets. Raises ValueError for another event.
    """
    event = EventType(event)
    log.warning("event %s: %s", event, json.dumps(data, ensure_ascii=False))
    query = sa.select(Webhook).where(Webhook.is_active).order_by(Webhook.id)
    with db.session.no_autoflush:
        # Nobody deletes one of them before this commits: what happened would fail with its message.
        active = list(db.session.scalars(query.with_for_update(read=True, key_share=True)))
    for webhook in active:
        if webhook.wants(event):
            _add_delivery(webhook, event, data)


def get_webhook(webhook_id: int, *, for_update: bool = False) -> Webhook:
    """The webhook with this id. Raises NotFound."""
    webhook = find_row(Webhook, webhook_id, for_update=for_update)
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Webhooks by name, filtered by activity and a part of name or URL."""
    query = sa.select(Webhook).order_by(Webhook.name, Webhook.id)
    if args.get("active_only"):
        query = query.where(Webhook.is_active)
    if args.get("search"):
        parts = (Webhook.name, Webhook.url)
        query = query.where(
            sa.or_(*(part.icontains(args["search"], autoescape=True) for part in parts))
        )
    return query


def create_webhook(data: dict[str, Any]) -> tuple[Webhook, str | None]:
    """Store a webhook. Returns it, and its secret where it was made here: it is shown this once.

    Raises Conflict where the name is taken, Invalid where the URL is not whole.
    """
    _check_whole(data["url"])
    created = add_webhook(data)
    commit()
    return created


def add_webhook(data: dict[str, Any]) -> tuple[Webhook, str | None]:
    """The same within a larger transaction: flushed, not committed."""
    made = None if "secret" in data else new_secret()
    webhook = Webhook(
        name=data["name"],
        hide_path=data.get("hide_path", False),
        events=_in_order(data.get("events")),
        is_active=data.get("is_active", True),
    )
    webhook.set_url(data["url"])
    webhook.set_secret(Secret(made or data["secret"]))
    db.session.add(webhook)
    flush()
    return webhook, made


def update_webhook(
    webhook_id: int, data: dict[str, Any], expected_version: int | None = None
) -> Webhook:
    """Change the sent fields. Raises NotFound, Stale, Conflict."""
    webhook = get_webhook(webhook_id, for_update=True)
    check_version(webhook.version, expected_version)
    if data.get("url", webhook.url) != webhook.url:
        _check_whole(data["url"])
    change_webhook(webhook, data)
    commit()
    return webhook


def change_webhook(webhook: Webhook, data: dict[str, Any]) -> None:
    """The same within a larger transaction: flushed, not committed."""
    sent: dict[str, Any] = {n: data[n] for n in ("name", "is_active") if n in data}
    if "events" in data:
        sent["events"] = _in_order(data["events"])
    for name, value in sent.items():
        if getattr(webhook, name) != value:
            setattr(webhook, name, value)
    _change_url(webhook, data.get("url", webhook.url), data)
    if "secret" in data:
        webhook.set_secret(Secret(data["secret"]))
    flush()
    if not webhook.is_active:
        cancel_pending(webhook)


def delete_webhook(webhook_id: int, expected_version: int | None = None) -> None:
    """Remove a webhook with its delivery log; what was pending goes out no more.

    Raises NotFound, Stale.
    """
    webhook = get_webhook(webhook_id, for_update=True)
    check_version(webhook.version, expected_version)
    remove_webhook(webhook)
    commit()


def remove_webhook(webhook: Webhook) -> None:
    """The same within a larger transaction: flushed, not committed."""
    db.session.delete(webhook)
    flush()


def deliveries_query(webhook_id: int, args: dict[str, Any]) -> sa.Select[Any]:
    """The webhook's deliveries, newest first, filtered by status and a part of type or id."""
    query = sa.select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
    if args.get("status"):
        query = query.where(WebhookDelivery.status == DeliveryStatus(args["status"]))
    if args.get("search"):
        parts = (WebhookDelivery.event, WebhookDelivery.message_id)
        query = query.where(
            sa.or_(*(part.icontains(args["search"], autoescape=True) for part in parts))
        )
    return query.order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())


def find_latest(webhook_ids: Collection[int]) -> dict[int, WebhookDelivery]:
    """The newest delivery of each of these webhooks, by the webhook's id."""
    # One look into the index for each, however long its log is.
    own = aliased(WebhookDelivery)
    newest = sa.select(own.id).where(own.webhook_id == Webhook.id)
    newest = newest.order_by(own.created_at.desc(), own.id.desc()).limit(1)
    query = (
        sa.select(WebhookDelivery)
        .join(Webhook, WebhookDelivery.id == newest.correlate(Webhook).scalar_subquery())
        .where(Webhook.id.in_(webhook_ids))
    )
    return {delivery.webhook_id: delivery for delivery in db.session.scalars(query)}


def list_failing() -> list[tuple[Webhook, str]]:
    """The active webhooks whose latest message was not taken when it was last tried, and why."""
    query = sa.select(Webhook).where(Webhook.is_active).order_by(Webhook.name)
    active = list(db.session.scalars(query))
    latest = find_latest([webhook.id for webhook in active])
    found = []
    for webhook in active:
        if webhook.needs_url:
            found.append((webhook, URL_MISSING))
            continue
        delivery = latest.get(webhook.id)
        if delivery is None or not delivery.attempts or delivery.lease_until is not None:
            continue  # nothing was tried yet, or it is under way
        if error := delivery.attempts[-1]["error"]:
            found.append((webhook, error))
    return found


def request_test(webhook_id: int) -> WebhookDelivery:
    """Send the webhook a test, whatever it wants to be told of. Raises NotFound, BadRequest."""
    webhook = get_webhook(webhook_id, for_update=True)
    if not webhook.is_active:
        raise BadRequest("The webhook is not active, so nothing is sent: activate it first.")
    delivery = _add_delivery(webhook, EventType.TEST, {"message": TEST_MESSAGE})
    commit()
    return delivery


def cancel_pending(webhook: Webhook) -> None:
    """Send nothing more of what is in the outbox. Commits nothing."""
    pending = WebhookDelivery.status == DeliveryStatus.PENDING
    db.session.execute(
        sa.update(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook.id, pending)
        .values(status=DeliveryStatus.CANCELLED, next_attempt_at=None, finished_at=utcnow())
    )


def _add_delivery(webhook: Webhook, event: EventType, data: dict[str, Any]) -> WebhookDelivery:
    now = utcnow()
    delivery = WebhookDelivery(
        webhook_id=webhook.id,
        message_id=f"msg_{uuid.uuid4().hex}",
        event=event.value,
        data=data,
        created_at=now,
        next_attempt_at=now,
    )
    db.session.add(delivery)
    nudge_after_commit(db.session(), DELIVER_JOB, webhook.id)
    return delivery


def _change_url(webhook: Webhook, url: str, data: dict[str, Any]) -> None:
    """Take on what was sent of URL and ``hide_path``. A URL as it was shown is none sent, nor is
    one as it will be shown: a document hides a path so."""
    hides = data.get("hide_path", webhook.hide_path)
    if (url, hides) == (webhook.url, webhook.hide_path):
        return
    if url == webhook.url or (not webhook.needs_url and url == shown_url(webhook.url, hides)):
        url = _open_url(webhook, hides)
    webhook.hide_path = hides
    webhook.set_url(url)


def _open_url(webhook: Webhook, hides: bool) -> str:
    """The URL that is stored, to be hidden further: nobody makes it show itself."""
    try:
        if not hides and webhook.url_sealed:
            raise KeyUnreadable("it would be shown")
        return webhook.open_url().get_secret_value()
    except KeyUnreadable:
        raise Invalid.field("url", ENTER_WHOLE) from None


def _check_whole(url: str) -> None:
    if is_shown_form(url):
        raise Invalid.field("url", ENTER_WHOLE)


def _in_order(events: Iterable[str] | None) -> list[str]:
    """Each event once, in the order in which they are declared."""
    wanted = frozenset(events or ())
    return [event.value for event in EventType if event.value in wanted]
