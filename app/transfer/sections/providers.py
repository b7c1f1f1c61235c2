"""Providers in a configuration document."""

from typing import Any

from app.core.crypto import origin_of
from app.core.rest import Text
from app.providers import services
from app.providers.models import Provider
from app.providers.schemas import ProviderPatch
from app.transfer.document import FreeForm, Item, ItemSchema, KeyMarker
from app.transfer.sections.base import Section


class ProviderItem(ItemSchema, ProviderPatch):
    """A provider as it stands in a document."""

    name = Text(min_length=1, max_length=128, required=True)
    options = FreeForm()
    api_key = KeyMarker()  # type: ignore[assignment]  # a marker in a key's place


class Providers(Section):
    """Told apart by their name."""

    name = "providers"
    key = "name"
    model = Provider
    item = ProviderItem
    needed = ("type",)

    def create(self, data: Item) -> list[str]:
        self.check_new(data)
        services.add_provider(data)
        return []

    def update(self, row: Any, data: Item) -> list[str]:
        base_url = data.get("base_url", row.base_url)
        moved = row.api_key_set and origin_of(base_url) != origin_of(row.base_url)
        # A key is for one origin, and a document brings no other.
        services.change_provider(row, data | ({"api_key": None} if moved else {}))
        return ["Its key was for another origin: enter the new one's."] if moved else []

    def delete(self, row: Any) -> None:
        services.remove_provider(row)
