"""Which provider is meant: by id, by name, by type; made where the type has none yet."""

from itertools import count
from typing import Any

import sqlalchemy as sa

from app.agents.spelling import is_flat, spelled
from app.core.db import db, lock
from app.core.errors import Invalid
from app.providers import services as providers
from app.providers.adapters import Adapter, find_adapter, list_types
from app.providers.models import Capability, Provider


def choose_provider(
    data: dict[str, Any],
    sent_as: dict[str, str],
    capability: Capability = Capability.LLM,
    kept: Provider | None = None,
) -> Provider:
    """The provider that ``data`` means; ``kept`` is the one it is about so far.

    Raises Invalid under the name that the caller used.
    """
    if data.get("provider_id"):
        return _get_by_id(data, sent_as, capability)
    text = data["provider"]
    adapter = find_adapter(text, capability)
    named = providers.find_by_name(text, capability)
    if _means_the_same(kept, adapter) and (named is None or is_flat(sent_as)):
        assert kept is not None
        return kept
    if named is not None:
        return named
    if adapter is None:
        allowed = ", ".join(list_types(capability))
        message = f"No provider has this name, and it is no type. Types: {allowed}."
        raise Invalid.field(spelled("provider", sent_as), message)
    found = _find_usual(adapter)
    if found is None:
        lock("the first provider of a type")  # of two that need it at once, one makes it
        found = _find_usual(adapter)
    return found or _make_provider(adapter, data.get("endpoint"), sent_as)


def _get_by_id(data: dict[str, Any], sent_as: dict[str, str], capability: Capability) -> Provider:
    provider = db.session.get(Provider, data["provider_id"])
    field = spelled("provider_id", sent_as)
    if provider is None or provider.capability is not capability:
        raise Invalid.field(field, f"There is no such {capability} provider.")
    if (text := data.get("provider")) and not _is_called(provider, text):
        raise Invalid.field(field, f"This is {provider.name} ({provider.type}), not {text}.")
    return provider


def _is_called(provider: Provider, text: str) -> bool:
    adapter = find_adapter(text, provider.capability)
    return text == provider.name or (adapter is not None and adapter.type == provider.type)


def _means_the_same(kept: Provider | None, adapter: Adapter | None) -> bool:
    """A type that was read and is written back means the provider that it came from."""
    return kept is not None and kept.is_active and adapter is not None and kept.type == adapter.type


def _find_usual(adapter: Adapter) -> Provider | None:
    named = providers.find_by_name(adapter.type, adapter.capability)
    return named or providers.find_of_type(adapter.type, adapter.capability)


def _make_provider(adapter: Adapter, endpoint: str | None, sent_as: dict[str, str]) -> Provider:
    base_url = adapter.default_base_url or endpoint
    if base_url is None:
        message = f"The type {adapter.type} has no usual endpoint: name one."
        raise Invalid.field(spelled("endpoint", sent_as), message)
    return providers.add_provider(
        {
            "name": _free_name(adapter),
            "type": adapter.type,
            "capability": adapter.capability,
            "base_url": base_url,
        }
    )


def _free_name(adapter: Adapter) -> str:
    """The type's own name, unless another provider has it."""
    stem = adapter.type
    if adapter.capability is not Capability.LLM:
        stem = f"{adapter.type}-{adapter.capability}"
    taken = set(db.session.scalars(sa.select(Provider.name).where(Provider.name.startswith(stem))))
    names = (f"{stem}-{number}" if number > 1 else stem for number in count(1))
    return next(name for name in names if name not in taken)
