"""Webhooks in a configuration document."""

from typing import Any

import sqlalchemy as sa

from app.core.db import db
from app.core.rest import Text
from app.transfer.document import Item, ItemSchema
from app.transfer.sections.base import Rows, Section, by_name
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
    item = WebhookItem
    needed = ("url",)

    def load_rows(self, *, for_update: bool = False) -> Rows:
        query = sa.select(Webhook).order_by(Webhook.id)
        query = query.with_for_update(key_share=True) if for_update else query
        return by_name(db.session.scalars(query), self.key)

    def dump_rows(self, rows: Rows) -> list[Item]:
        schema = WebhookItem()
        return [schema.dump(row) for row in rows.values()]

    def create(self, data: Item) -> list[str]:
        self.check_new(data)
        services.add_webhook(data)
        return [services.UNSEEN]

    def update(self, row: Any, data: Item) -> list[str]:
        services.change_webhook(row, data)
        return []

    def delete(self, row: Any) -> None:
        services.remove_webhook(row)
