"""The wire shape of webhooks. A secret goes in, or out once where it was made here."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.core.addresses import check_url_syntax
from app.core.rest import Flag, PageArgs, Schema, Text
from app.webhooks.models import DeliveryStatus, EventType, Webhook
from app.webhooks.signing import MAX_BYTES, check_secret
from app.webhooks.urls import HIDDEN

EVENTS = [event.value for event in EventType]
STATUSES = [status.value for status in DeliveryStatus]
URL_LENGTH = 2040  # what is shown in a secret's place may be longer than that: 2048 are stored
URL_HELP = f"Its query is never shown. As it was shown, with {HIDDEN}, it changes nothing."


class ReceiverUrl(Text):
    """An http or https URL, a query with a key in it included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=URL_LENGTH, metadata={"description": URL_HELP}, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        url = str(super()._deserialize(value, *args, **kwargs)).strip()
        if reason := check_url_syntax(url, query=True):
            raise ma.ValidationError(reason)
        return url


class SecretText(Text):
    """What messages are signed with: ``whsec_`` and base64, or any text of some length."""

    def __init__(self) -> None:
        super().__init__(max_length=2 * MAX_BYTES, load_only=True)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, *args, **kwargs))
        if reason := check_secret(text):
            raise ma.ValidationError(reason)
        return text


class WebhookPatch(Schema):
    """What changes a webhook: only the sent fields."""

    name = Text(min_length=1, max_length=128)
    url = ReceiverUrl()
    hide_path = Flag(metadata={"description": "Show no more of the URL than its host."})
    secret = SecretText()
    events = fields.List(
        fields.String(validate=validate.OneOf(EVENTS)),
        allow_none=True,
        validate=validate.Length(max=len(EVENTS)),
        metadata={"description": "What it is told of; none = all."},
    )
    is_active = Flag()


class WebhookIn(WebhookPatch):
    """What creates a webhook; without a secret one is made."""

    name = Text(min_length=1, max_length=128, required=True)
    url = ReceiverUrl(required=True)


class WebhookOut(Schema):
    """A webhook as it is read."""

    id = fields.Integer()
    name = fields.String()
    url = fields.String(metadata={"description": f"What is secret in it is shown as {HIDDEN}"})
    hide_path = fields.Boolean()
    events = fields.List(fields.String())
    is_active = fields.Boolean()
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class NewWebhook(WebhookOut):
    """The one answer that shows a secret, where it was made here."""

    secret = fields.String()


class WebhookList(Schema):
    """A page of webhooks."""

    webhooks = fields.List(fields.Nested(WebhookOut))
    total = fields.Integer()


class WebhookArgs(PageArgs):
    """Filters of the list."""

    active_only = fields.Boolean(load_default=False)


class AttemptOut(Schema):
    """One attempt to deliver. ``error`` is null where it was taken."""

    at = fields.String(metadata={"format": "date-time"})
    http_status = fields.Integer(allow_none=True)
    latency_ms = fields.Integer(allow_none=True)
    error = fields.String(allow_none=True)


class DeliveryOut(Schema):
    """One event on its way to a webhook, or arrived."""

    id = fields.Integer()
    message_id = fields.String(metadata={"description": "The webhook-id of every attempt"})
    type = fields.String(attribute="event")
    data = fields.Dict()
    status = fields.Enum(DeliveryStatus, by_value=True)
    attempts = fields.List(fields.Nested(AttemptOut))
    next_attempt_at = fields.AwareDateTime(allow_none=True)
    created_at = fields.AwareDateTime()
    finished_at = fields.AwareDateTime(allow_none=True)


class DeliveryList(Schema):
    """A page of deliveries, newest first."""

    deliveries = fields.List(fields.Nested(DeliveryOut))
    total = fields.Integer()


class DeliveryArgs(PageArgs):
    """Filters of the delivery log."""

    status = fields.String(validate=validate.OneOf(STATUSES), load_default=None)


def dump_webhook(webhook: Webhook, new_secret: str | None = None) -> dict[str, Any]:
    """A webhook as it is read; ``new_secret`` for the one answer that shows it."""
    body: dict[str, Any] = WebhookOut().dump(webhook)
    return body if new_secret is None else body | {"secret": new_secret}
