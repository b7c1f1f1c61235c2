"""Bringing a webhook back to what it was."""

from typing import Any

from app.core.db import find_row
from app.core.errors import Forbidden
from app.core.versions import check_version
from app.transfer.restorers.base import Wish, past_of
from app.webhooks import services
from app.webhooks.models import Webhook
from app.webhooks.urls import is_shown_form

FIELDS = ("name", "url", "hide_path", "events", "is_active")
KEPT = "The webhook keeps today's {}: earlier ones are not stored."


def restore_webhook(wish: Wish) -> tuple[Any, list[str]]:
    """The webhook as it was, under a new id where it was deleted. What is secret of it does not
    come back.

    Raises Forbidden for whoever may not keep webhooks.
    """
    if not wish.may_give_away:
        raise Forbidden("Webhooks are restored by admins.")
    row = find_row(Webhook, wish.entity_id, for_update=True)
    past = past_of(wish, row)
    data = {name: past.image[name] for name in FIELDS if past.image.get(name) is not None}
    if row is None or past.ended:
        row, _secret = services.add_webhook(data)
        return row, [services.UNSEEN, *([services.URL_MISSING] if row.needs_url else [])]
    check_version(row.version, wish.expected_version)
    kept = [KEPT.format("secret")] if "secret" in past.secrets else []
    if is_shown_form(past.image["url"]):
        # The one of then would lead nowhere, and whoever relies on being told would not notice.
        was = data.pop("url"), data.pop("hide_path", None)
        changed = was != (row.url, row.hide_path) or "url_secret" in past.secrets
        kept += [KEPT.format("URL")] if changed else []
    services.change_webhook(row, data)
    return row, kept
