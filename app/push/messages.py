"""From changes to messages: what became of which agent or provider, and what clients are told.

Two steps, because the second is the dear one: `list_items` finds out what is touched, `dump_items`
resolves and spells out only what somebody gets.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app.agents.effective import affected_by, resolve_agents
from app.agents.models import Agent
from app.agents.resolution import Resolved
from app.agents.schemas import dump_resolved
from app.changes.models import Change, Operation
from app.changes.services import State
from app.core.db import db
from app.providers.models import Provider

MANY_CHANGES, MANY_AGENTS = 10_000, 1_000
"""Beyond these it is cheaper to fetch the whole."""


class ItemType(StrEnum):
    """What happened, as the wire says it."""

    AGENT_CREATED = "agent_created"
    AGENT_CONFIG_CHANGED = "agent_config_changed"
    AGENT_DELETED = "agent_deleted"
    PROVIDER_CREATED = "provider_created"
    PROVIDER_CHANGED = "provider_changed"
    PROVIDER_DELETED = "provider_deleted"
    PROVIDER_STATUS = "provider_status"


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one agent or of one provider; the other's field is None."""

    type: ItemType
    agent_id: str | None = None
    provider_id: int | None = None
    owner_id: int | None = None
    """Who owns the agent now, or did last."""
    former_owner_id: int | None = None
    """Who owned it before these changes."""
    gone: bool = False
    """No agent has this slug: a default answers, or nothing."""
    name: str | None = None
    """The provider's name, for when it is gone."""


def list_items(
    changes: Sequence[Change], named: Collection[str] = (), *, everyone: bool = True
) -> list[Item] | None:
    """What these changes touched, each thing once, whatever happened to it in between.

    ``named`` are slugs that somebody asks about by name, whether such an agent exists or not;
    without ``everyone`` no other is of interest. None means: too much, fetch it all.
    """
    if len(changes) > MANY_CHANGES:
        return None
    affected = affected_by(changes)
    slugs = affected if everyone else affected & set(named)
    slugs |= _behind_the_default(changes, affected, set(named) - affected)
    if len(slugs) > MANY_AGENTS:
        return None
    return [*_agent_items(changes, slugs), *_provider_items(changes)]


def dump_items(
    items: Sequence[Item], state: State, *, reveal: bool = False, user_id: int | None = None
) -> list[dict[str, Any]]:
    """The messages of these items, in their order, each with the state of now.

    ``user_id`` owns the defaults of agents that are gone. ``reveal`` puts keys in, for S1 only.
    """
    slugs = [item.agent_id for item in items if item.agent_id is not None]
    resolved = resolve_agents(slugs, user_id) if slugs else {}
    providers = _load_providers(item.provider_id for item in items if item.provider_id is not None)
    return [
        dump_agent_item(item.type, item.agent_id, resolved[item.agent_id], state, reveal=reveal)
        if item.agent_id is not None
        else _dump_provider_item(item, providers, state)
        for item in items
    ]


def dump_agent_item(
    item_type: ItemType, agent_id: str, resolved: Resolved | None, state: State, *, reveal: bool
) -> dict[str, Any]:
    """The message about one agent; ``config`` is what a read of it gets now, or null."""
    config = None
    if resolved is not None:
        config = dump_resolved(resolved, epoch=state.epoch, rev=state.rev, reveal=reveal)
    return {
        "type": item_type.value,
        "agent_id": agent_id,
        "config": config,
        "epoch": state.epoch,
        "rev": state.rev,
    }


def _behind_the_default(changes: Iterable[Change], affected: set[str], named: set[str]) -> set[str]:
    """Of the named slugs, those that no agent has, if what the default gives them has changed."""
    if not named or not _default_touched(changes, affected):
        return set()
    known = sa.select(Agent.agent_id).where(Agent.agent_id.in_(named))
    return named - set(db.session.scalars(known))


def _default_touched(changes: Iterable[Change], affected: set[str]) -> bool:
    if any(True in change.diff.get("is_default", ()) for change in changes):
        return True
    defaults = db.session.scalars(sa.select(Agent.agent_id).where(Agent.is_default))
    return not affected.isdisjoint(defaults)


def _agent_items(changes: Iterable[Change], slugs: set[str]) -> list[Item]:
    if not slugs:
        return []
    query = sa.select(Agent.agent_id, Agent.owner_id).where(Agent.agent_id.in_(slugs))
    owners = dict(db.session.execute(query).tuples().all())
    former = _former_owners(changes, owners)
    begun, ended = _begun_and_ended(changes)
    items = []
    for slug in sorted(slugs):
        gone = slug not in owners
        item_type = ItemType.AGENT_CONFIG_CHANGED
        if gone and slug in ended:
            item_type = ItemType.AGENT_DELETED
        elif not gone and slug in begun:
            item_type = ItemType.AGENT_CREATED
        before = former.get(slug, owners.get(slug))
        items.append(Item(item_type, slug, None, owners.get(slug, before), before, gone))
    return items


def _begun_and_ended(changes: Iterable[Change]) -> tuple[set[str], set[str]]:
    """Slugs that came into being and slugs that ceased to be, by a delete or a new name."""
    begun: set[str] = set()
    ended: set[str] = set()
    for change in changes:
        if change.entity == "agent" and "agent_id" in change.diff:
            old, new = change.diff["agent_id"]
            if change.operation is Operation.CREATE:
                begun.add(new)
            elif old is not None:
                ended.add(old)
    return begun, ended


def _former_owners(
    changes: Iterable[Change], owners: dict[str, int | None]
) -> dict[str, int | None]:
    """Who owned the agents that these changes gave away, renamed or removed."""
    former: dict[str, int | None] = {}
    for change in changes:
        if change.entity != "agent" or change.operation is Operation.CREATE:
            continue
        moved = change.diff.get("owner_id")
        if change.operation is Operation.DELETE or moved or "agent_id" in change.diff:
            slug = change.diff.get("agent_id", [change.root])[0]
            former.setdefault(slug, moved[0] if moved else owners.get(change.root))
    return former


def _provider_items(changes: Iterable[Change]) -> list[Item]:
    operations: dict[int, set[Operation]] = {}
    names: dict[int, str] = {}
    for change in changes:
        if change.entity == "provider":
            operations.setdefault(change.entity_id, set()).add(change.operation)
            names[change.entity_id] = change.root
    return [
        Item(_provider_type(found), provider_id=key, name=names[key])
        for key, found in sorted(operations.items())
    ]


def _provider_type(operations: set[Operation]) -> ItemType:
    if Operation.DELETE in operations:
        return ItemType.PROVIDER_DELETED
    if Operation.CREATE in operations:
        return ItemType.PROVIDER_CREATED
    return ItemType.PROVIDER_CHANGED if Operation.UPDATE in operations else ItemType.PROVIDER_STATUS


def _load_providers(provider_ids: Iterable[int]) -> dict[int, Provider]:
    wanted = list(provider_ids)
    if not wanted:
        return {}
    query = sa.select(Provider).where(Provider.id.in_(wanted))
    return {provider.id: provider for provider in db.session.scalars(query)}


def _dump_provider_item(item: Item, providers: dict[int, Provider], state: State) -> dict[str, Any]:
    body: dict[str, Any] = {"id": item.provider_id, "name": item.name}
    if provider := providers.get(item.provider_id or 0):
        body |= {
            "name": provider.name,
            "type": provider.type,
            "validation_status": provider.validation_status.value,
        }
    return {"type": item.type.value, "provider": body, "epoch": state.epoch, "rev": state.rev}
