"""The verbs of providers. A save is itself the request for a check: health finds it."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from app.changes.tracker import Tracked
from app.core.crypto import Secret, origin_of
from app.core.db import commit, db, find_row, flush, referrers
from app.core.errors import Conflict, Invalid, NotFound
from app.core.jobs import nudge_after_commit
from app.core.versions import check_version
from app.providers.adapters import get_adapter, list_types, usual_capability
from app.providers.keys import environment_key
from app.providers.models import Capability, Provider, ValidationStatus

CHECK_JOB = "health.check"
CHECK_MODEL = "check_model"
"""The option that names the model a check calls, where ``check_call`` has it make a call."""
MODEL_LIMIT = 256
REACHED_BY = ("type", "capability", "base_url", "options", "is_active")
"""After a change of any of these, or of the key, the last check says nothing any more."""


def get_provider(provider_id: int, *, for_update: bool = False) -> Provider:
    """The provider with this id. Raises NotFound."""
    provider = find_row(Provider, provider_id, for_update=for_update)
    if provider is None:
        raise NotFound("There is no such provider.")
    return provider


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Providers by name, filtered by type, capability, status, activity and a part of the name."""
    query = sa.select(Provider).order_by(Provider.name, Provider.id)
    if args.get("type"):
        query = query.where(Provider.type == args["type"])
    if args.get("capability"):
        query = query.where(Provider.capability == args["capability"])
    if args.get("status"):
        query = query.where(Provider.validation_status == args["status"])
    if args.get("is_active") is not None:
        query = query.where(Provider.is_active == args["is_active"])
    if args.get("search"):
        query = query.where(Provider.name.icontains(args["search"], autoescape=True))
    return query


def find_of_type(provider_type: str, capability: Capability) -> Provider | None:
    """The active provider of a type with the lowest id."""
    query = (
        sa.select(Provider)
        .where(Provider.is_active, Provider.capability == capability)
        .where(Provider.type == provider_type)
        .order_by(Provider.id)
    )
    return db.session.scalars(query.limit(1)).first()


def find_by_name(name: str, capability: Capability) -> Provider | None:
    """The active provider with this name."""
    query = sa.select(Provider).where(Provider.is_active, Provider.capability == capability)
    return db.session.scalar(query.where(Provider.name == name))


def list_providers(capability: Capability = Capability.LLM) -> list[Provider]:
    """Every provider of a capability, by name."""
    query = sa.select(Provider).where(Provider.capability == capability)
    return list(db.session.scalars(query.order_by(Provider.name, Provider.id)))


def create_provider(data: dict[str, Any]) -> Provider:
    """Store a provider and schedule its check. Raises Invalid, Conflict."""
    provider = add_provider(data)
    commit()
    return provider


def add_provider(data: dict[str, Any]) -> Provider:
    """The same within a larger transaction: flushed, not committed."""
    capability = data.get("capability") or usual_capability(data["type"])
    adapter = get_adapter(data["type"], Capability(capability))
    base_url = data.get("base_url") or adapter.default_base_url
    if base_url is None:
        raise Invalid.field("base_url", f"The type {adapter.type} has no usual endpoint: name one.")
    provider = Provider(
        name=data["name"],
        type=adapter.type,
        capability=adapter.capability,
        base_url=base_url,
        options=data.get("options") or {},
        is_active=data.get("is_active", True),
        check_interval=data.get("check_interval"),
        check_call=data.get("check_call", False),
    )
    _check_call_model(provider)
    if data.get("api_key"):
        provider.set_api_key(Secret(data["api_key"]))
    db.session.add(provider)
    flush()
    schedule_check(provider)
    return provider


def update_provider(
    provider_id: int, data: dict[str, Any], expected_version: int | None = None
) -> Provider:
    """Change the sent fields. Raises NotFound, Stale, Invalid, Conflict.

    A key is for one origin: moving ``base_url`` elsewhere needs the key in the same request.
    """
    provider = get_provider(provider_id, for_update=True)
    check_version(provider.version, expected_version)
    change_provider(provider, data)
    commit()
    return provider


def change_provider(provider: Provider, data: dict[str, Any]) -> None:
    """The same within a larger transaction: flushed, not committed."""
    adapter = get_adapter(
        data.get("type", provider.type), Capability(data.get("capability", provider.capability))
    )
    base_url = data.get("base_url", provider.base_url)
    moved = origin_of(base_url) != origin_of(provider.base_url)
    if moved and provider.api_key_set and "api_key" not in data:
        raise Invalid.field(
            "api_key",
            "The new base_url is another origin: send the api_key for it (or null to clear it).",
        )
    plain = ("name", "options", "is_active", "check_interval", "check_call")
    sent: dict[str, Any] = {name: data[name] for name in plain if name in data}
    sent |= {"type": adapter.type, "capability": adapter.capability, "base_url": base_url}
    changed = {name: value for name, value in sent.items() if getattr(provider, name) != value}
    for name, value in changed.items():
        setattr(provider, name, value)
    _check_call_model(provider)
    if "api_key" in data:
        provider.set_api_key(Secret(data["api_key"]) if data["api_key"] else None)
    if "api_key" in data or any(name in changed for name in REACHED_BY):
        provider.settled_status = ValidationStatus.PENDING
    schedule_check(provider)
    flush()


def delete_provider(provider_id: int, expected_version: int | None = None) -> None:
    """Remove a provider that nothing uses. Raises NotFound, Stale, Conflict naming its users."""
    provider = get_provider(provider_id, for_update=True)
    check_version(provider.version, expected_version)
    remove_provider(provider)
    commit()


def remove_provider(provider: Provider) -> None:
    """The same within a larger transaction: flushed, not committed."""
    if users := used_by(provider):
        raise Conflict(f"The provider is used by: {', '.join(users)}.")
    db.session.delete(provider)
    flush()


def used_by(
    provider: Provider,
    at_most: int | None = None,
    sees: Callable[[Tracked], bool] = lambda _root: True,
) -> list[str]:
    """The agents (or whatever else points here) that depend on the provider, by name.

    ``at_most`` bounds how many steps are looked at: a page need not name ten thousand agents.
    ``sees`` says which of them may be named.
    """
    rows = (row for row in referrers(provider, at_most) if isinstance(row, Tracked))
    return sorted({row.root.root_name for row in rows if sees(row.root)})


def note_environment_keys() -> list[str]:
    """Make a key that changed in the server's environment a change that clients hear of.

    Returns the names of the providers that use such a key. Commits.
    """
    query = sa.select(Provider).order_by(Provider.id).with_for_update()
    changed = [provider for provider in db.session.scalars(query) if _note_key(provider)]
    commit()
    return [provider.name for provider in changed]


def _note_key(provider: Provider) -> bool:
    found = None if provider.api_key_set else environment_key(provider.type)
    key_id = found.key_id if found else None
    if provider.environment_key_id == key_id:
        return False
    provider.environment_key_id = key_id
    return True


def type_choices(capability: Capability = Capability.LLM) -> list[tuple[str, str]]:
    """Every type of a capability with its label, for forms."""
    return [(name, get_adapter(name, capability).label) for name in list_types(capability)]


def schedule_check(provider: Provider) -> None:
    """Ask for a check once the transaction is committed; the result of one under way is void."""
    provider.validation_status = ValidationStatus.PENDING
    provider.check_id = None
    provider.check_lease_until = None
    provider.check_attempts = 0
    provider.next_check_at = None
    nudge_after_commit(db.session(), CHECK_JOB, provider.id)


def _check_call_model(provider: Provider) -> None:
    """A call costs something: which model it is, is never guessed. Raises Invalid."""
    model = provider.options.get(CHECK_MODEL)
    named = isinstance(model, str) and 0 < len(model) <= MODEL_LIMIT
    if provider.check_call and not named:
        raise Invalid.field("check_call", f"Name the model to call in options.{CHECK_MODEL}.")
