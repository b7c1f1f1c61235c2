"""Webhooks in a configuration document."""

from typing import Any

from app.core.rest import Text
from app.transfer.document import Item, ItemSchema
from app.transfer.sections.base import Section
from app.webhooks import services
from app.webhooks.models import Webhook
from app.webhooks.schemas import WebhookPatch


class WebhookItem(ItemSchema, WebhookPatch):
    """A webhook as it stands in a document: without its secret."""

    class Meta(ItemSchema.Meta):
        exclude = ("secret",)

    name = Text(min_length=1, max_length=128, required=True)


class Webhooks(Section):
    """Told apart by their name."""

    name = "webhooks"
    key = "name"
    model = Webhook
    item = WebhookItem
    needed = ("url",)

    def create(self, data: Item) -> list[str]:
        self.check_new(data)
        services.add_webhook(data)
        return [services.UNSEEN]

    def update(self, row: Any, data: Item) -> list[str]:
        services.change_webhook(row, data)
        return []

    def delete(self, row: Any) -> None:
        services.remove_webhook(row)
