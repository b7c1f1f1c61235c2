"""Webhooks, and their outbox: what is to be delivered, and what became of it."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.changes.tracker import TrackedRoot, secret, tracked
from app.core import crypto
from app.core.crypto import KeyUnreadable, Secret, origin_of
from app.core.db import IDS_ONCE, Base, Json, text_enum
from app.webhooks.urls import is_shown_form, shown_url

NOWHERE = ""
"""The origin that a secret is sealed for: it is sent to none, only signatures leave the house."""


class EventType(StrEnum):
    """What a webhook can be told."""

    PROVIDER_DOWN = "provider.down"
    PROVIDER_UP = "provider.up"
    PROVIDER_FLAPPING = "provider.flapping"
    BUDGET_WARN = "budget.warn"
    BUDGET_BLOCKED = "budget.blocked"
    BUDGET_OK = "budget.ok"
    AGENT_HALTED = "agent.halted"
    AGENT_RESUMED = "agent.resumed"
    TEST = "webhook.test"


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Webhook(TrackedRoot, Base):
    """An address that wants to be told, and the secret that proves who tells it."""

    __tablename__ = "webhooks"
    __table_args__ = (
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name="name_length"),
        IDS_ONCE,
    )
    entity = "webhook"

    name: Mapped[str] = tracked(sa.String(128), unique=True)
    url: Mapped[str] = tracked(sa.String(2048))
    """As it is shown: of what is secret in it there is only the seal below."""
    hide_path: Mapped[bool] = tracked(default=False, server_default=sa.false())
    """Whether the path is not shown either; a query never is."""
    url_sealed: Mapped[str | None] = mapped_column(sa.Text, default=None)
    """The whole URL, where ``url`` is not."""
    url_id: Mapped[str | None] = secret(sa.String(32), shown_as="url_secret", default=None)
    events: Mapped[list[str]] = tracked(Json, default=list)
    """The types that it is told; none = all, those still to come included."""
    is_active: Mapped[bool] = tracked(default=True)
    secret_sealed: Mapped[str] = mapped_column(sa.Text)
    secret_id: Mapped[str] = secret(sa.String(32), unique=True, shown_as="secret")

    @property
    def root_name(self) -> str:
        return self.name

    def wants(self, event: EventType) -> bool:
        """Whether it is told of such events."""
        return not self.events or event.value in self.events

    @property
    def needs_url(self) -> bool:
        """Whether its URL has to be entered: it came from something that holds no secret."""
        return self.url_sealed is None and is_shown_form(self.url)

    def set_url(self, url: str) -> None:
        """Send to another URL from now on, retries included."""
        self.url = shown_url(url, self.hide_path)
        self.url_id = self.url_sealed = None
        if self.url != url:
            self.url_id = crypto.new_key_id()
            self.url_sealed = crypto.seal_key(
                Secret(url), entity=self.entity, key_id=self.url_id, origin=origin_of(url)
            )

    def open_url(self) -> Secret:
        """The whole URL, to send to. Raises KeyUnreadable, also where it was never entered."""
        if self.needs_url:
            raise KeyUnreadable("it was not entered here")
        if self.url_sealed is None or self.url_id is None:
            return Secret(self.url)
        return crypto.open_key(
            self.url_sealed, entity=self.entity, key_id=self.url_id, origin=origin_of(self.url)
        )

    def set_secret(self, value: Secret) -> None:
        """Sign with another secret from now on, retries included."""
        self.secret_id = crypto.new_key_id()
        self.secret_sealed = crypto.seal_key(
            value, entity=self.entity, key_id=self.secret_id, origin=NOWHERE
        )

    def open_secret(self) -> Secret:
        """The secret in clear, to sign with. Raises KeyUnreadable."""
        return crypto.open_key(
            self.secret_sealed, entity=self.entity, key_id=self.secret_id, origin=NOWHERE
        )


class WebhookDelivery(Base):
    """One event on its way to one webhook. Its ``message_id`` and body are the same every time."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (sa.Index("ix_webhook_deliveries_webhook", "webhook_id", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(sa.ForeignKey("webhooks.id", ondelete="CASCADE"))
    message_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    event: Mapped[str] = mapped_column(sa.String(64))
    # Not JSONB, which forgets the order of keys: every attempt sends the same bytes.
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON())
    created_at: Mapped[datetime]
    status: Mapped[DeliveryStatus] = mapped_column(
        text_enum(DeliveryStatus), default=DeliveryStatus.PENDING
    )
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON(), default=list)
    """What came of each: ``{at, http_status, latency_ms, error}``; written when it begins."""
    next_attempt_at: Mapped[datetime | None] = mapped_column(default=None, index=True)
    """Null once it is settled."""
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    """Until then an attempt is under way: a worker that died is replaced after it."""
    finished_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def body(self) -> bytes:
        """The message as it is sent and signed."""
        message = {
            "type": self.event,
            "timestamp": self.created_at.isoformat(),
            "data": self.data,
        }
        return json.dumps(message, separators=(",", ":")).encode()
