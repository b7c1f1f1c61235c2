"""Bringing a webhook back to what it was."""

from typing import Any

from app.core.db import db
from app.core.errors import Forbidden
from app.core.versions import check_version
from app.transfer.restorers.base import Wish, past_of
from app.webhooks import services
from app.webhooks.models import Webhook

FIELDS = ("name", "url", "events", "is_active")


def restore_webhook(wish: Wish) -> tuple[Any, list[str]]:
    """The webhook as it was, under a new id where it was deleted. Its secret does not come back.

    Raises Forbidden for whoever may not keep webhooks.
    """
    if not wish.may_give_away:
        raise Forbidden("Webhooks are restored by admins.")
    row = db.session.get(Webhook, wish.entity_id, with_for_update=True)
    past = past_of(wish, row)
    data = {name: past.image[name] for name in FIELDS if past.image.get(name) is not None}
    if row is None or past.ended:
        return services.add_webhook(data)[0], [services.UNSEEN]
    check_version(row.version, wish.expected_version)
    services.change_webhook(row, data)
    kept = "The webhook keeps today's secret: earlier ones are not stored."
    return row, [kept] if "secret" in past.secrets else []
