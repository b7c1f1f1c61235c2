"""Webhooks in a configuration document."""

from typing import Any

from marshmallow import ValidationError, validates_schema

from app.core.rest import Text
from app.transfer.document import Item, ItemSchema
from app.transfer.sections.base import Section
from app.webhooks import services
from app.webhooks.models import Webhook
from app.webhooks.schemas import WebhookPatch
from app.webhooks.urls import shown_url


class WebhookItem(ItemSchema, WebhookPatch):
    """A webhook as it stands in a document: without its secret, its URL as it is shown."""

    class Meta(ItemSchema.Meta):
        exclude = ("secret",)

    name = Text(min_length=1, max_length=128, required=True)

    @validates_schema(skip_on_field_errors=True)
    def check_url(self, data: Item, **_kwargs: Any) -> None:
        """A document may lie in a repository: no secret comes from there."""
        url = data.get("url", "")
        shown = shown_url(url, data.get("hide_path", False))
        if shown != url:
            raise ValidationError(f"A secret is not imported: write '{shown}'.", "url")


class Webhooks(Section):
    """Told apart by their name."""

    name = "webhooks"
    key = "name"
    model = Webhook
    item = WebhookItem
    needed = ("url",)

    def create(self, data: Item) -> list[str]:
        self.check_new(data)
        webhook, _secret = services.add_webhook(data)
        return [services.UNSEEN, *_url_warnings(webhook)]

    def update(self, row: Any, data: Item) -> list[str]:
        services.change_webhook(row, data)
        return _url_warnings(row) if "url" in data else []

    def delete(self, row: Any) -> None:
        services.remove_webhook(row)


def _url_warnings(webhook: Webhook) -> list[str]:
    return [services.URL_MISSING] if webhook.needs_url else []
