"""Bringing a provider back to what it was."""

from typing import Any

from app.core.crypto import origin_of
from app.core.db import find_row
from app.core.versions import check_version
from app.providers import services
from app.providers.models import Provider
from app.transfer.restorers.base import Wish, key_warnings, past_of

FIELDS = ("name", "type", "capability", "base_url", "options", "is_active", "check_call")


def restore_provider(wish: Wish) -> tuple[Any, list[str]]:
    """The provider as it was, under a new id where it was deleted. Its key does not come back."""
    row = find_row(Provider, wish.entity_id, for_update=True)
    past = past_of(wish, row)
    data = {name: past.image[name] for name in FIELDS if past.image.get(name) is not None}
    data["check_interval"] = past.image.get("check_interval")  # null is a value: the usual one
    if row is None or past.ended:
        row = services.add_provider(data)
        return row, key_warnings("The provider", past, has_key=False)
    check_version(row.version, wish.expected_version)
    changed = {name: value for name, value in data.items() if getattr(row, name) != value}
    if not changed:
        return row, []
    if row.api_key_set and origin_of(data["base_url"]) != origin_of(row.base_url):
        changed["api_key"] = None  # today's key is for today's origin
    services.change_provider(row, changed)
    return row, key_warnings("The provider", past, row.api_key_set)
