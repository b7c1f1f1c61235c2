"""From changes to messages: what became of which agent, provider or task, and what is said of it.

Two steps, because the second is the dear one: `list_items` finds out what is touched, `dump_items`
resolves and spells out only what somebody gets.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import defer

from app.agents.effective import affected_by, touches_a_default
from app.agents.effective_cache import EffectiveConfig, get_configs
from app.agents.models import Agent
from app.changes.models import Change, Operation
from app.changes.services import State
from app.core.db import db
from app.providers.models import Provider
from app.tasks.models import Task
from app.tasks.services import brief

MANY_CHANGES, MANY_AGENTS = 10_000, 1_000
"""Beyond these it is cheaper to fetch the whole."""
RETAINED_REVS = 10_000
"""How far back the log is read for anybody. The history itself goes further."""
_OWNERS = sa.select(Agent.agent_id, Agent.owner_id).where(
    Agent.agent_id.in_(sa.bindparam("slugs", expanding=True))
)


class ItemType(StrEnum):
    """What happened, as the wire says it."""

    AGENT_CREATED = "agent_created"
    AGENT_CONFIG_CHANGED = "agent_config_changed"
    AGENT_DELETED = "agent_deleted"
    PROVIDER_CREATED = "provider_created"
    PROVIDER_CHANGED = "provider_changed"
    PROVIDER_DELETED = "provider_deleted"
    PROVIDER_STATUS = "provider_status"
    TASK_CREATED = "task_created"
    TASK_CHANGED = "task_changed"
    TASK_DELETED = "task_deleted"

    @property
    def kind(self) -> str:
        """What it happened to: `agent`, `provider` or `task`."""
        return self.value.partition("_")[0]


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one agent (``agent_id``), provider or task (``thing_id``)."""

    type: ItemType
    agent_id: str | None = None
    thing_id: int | None = None
    owner_id: int | None = None
    """Who owns the agent now, or did last."""
    former_owner_id: int | None = None
    """Who owned it before these changes."""
    gone: bool = False
    """No agent has this slug: a default answers, or nothing."""
    name: str | None = None
    """The name of the provider or task, for when it is gone."""

    @property
    def never_was(self) -> bool:
        """It is only a name that somebody asks about; what the default gives it has changed."""
        return self.gone and self.type is ItemType.AGENT_CONFIG_CHANGED


def is_in_reach(rev: int, state: State) -> bool:
    """Whether the log leads from ``rev`` to this state; from elsewhere everything is fetched."""
    return max(state.log_floor, state.rev - RETAINED_REVS) <= rev <= state.rev


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
    things = (item for kind in _LOADERS for item in _thing_items(kind, changes))
    return [*_agent_items(changes, slugs), *things]


def dump_items(
    items: Sequence[Item], state: State, *, reveal: bool = False, user_id: int | None = None
) -> list[dict[str, Any]]:
    """The messages of these items, in their order, each with the state of now.

    ``user_id`` owns the defaults of agents that are gone. ``reveal`` puts keys in, for S1 only.
    """
    slugs = [item.agent_id for item in items if item.agent_id is not None]
    configs = get_configs(state, slugs, user_id)
    things = {kind: _load_things(kind, items) for kind in _LOADERS}
    return [
        dump_agent_item(item.type, item.agent_id, configs[item.agent_id], state, reveal=reveal)
        if item.agent_id is not None
        else _dump_thing_item(item, things[item.type.kind], state)
        for item in items
    ]


def dump_agent_item(
    item_type: ItemType,
    agent_id: str,
    config: EffectiveConfig | None,
    state: State,
    *,
    reveal: bool,
) -> dict[str, Any]:
    """The message about one agent; ``config`` is what a read of it gets now, or null."""
    return {
        "type": item_type.value,
        "agent_id": agent_id,
        "config": config and config.dump(reveal=reveal),
        "epoch": state.epoch,
        "rev": state.rev,
    }


def _behind_the_default(changes: Iterable[Change], affected: set[str], named: set[str]) -> set[str]:
    """Of the named slugs, those that no agent has, if what the default gives them has changed."""
    if not named or not touches_a_default(affected, changes):
        return set()
    known = sa.select(Agent.agent_id).where(Agent.agent_id.in_(named))
    return named - set(db.session.scalars(known))


def _agent_items(changes: Iterable[Change], slugs: set[str]) -> list[Item]:
    if not slugs:
        return []
    owners = dict(db.session.execute(_OWNERS, {"slugs": list(slugs)}).tuples().all())
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


def _thing_items(kind: str, changes: Iterable[Change]) -> list[Item]:
    operations: dict[int, list[Operation]] = {}
    names: dict[int, str] = {}
    for change in changes:
        if change.entity == kind:
            operations.setdefault(change.entity_id, []).append(change.operation)
            names[change.entity_id] = change.root
    return [
        Item(ItemType(f"{kind}_{_outcome(found)}"), thing_id=key, name=names[key])
        for key, found in sorted(operations.items())
    ]


def _outcome(operations: list[Operation]) -> str:
    # The last one tells whether it is gone: SQLite gives the id of a deleted row to the next one.
    if operations[-1] is Operation.DELETE:
        return "deleted"
    if Operation.CREATE in operations:
        return "created"
    return "changed" if Operation.UPDATE in operations else "status"


def _load_things(kind: str, items: Iterable[Item]) -> dict[int, dict[str, Any]]:
    """What is to be said of the things of one kind that are still there, by id."""
    wanted = {item.thing_id for item in items if item.type.kind == kind}
    return {found["id"]: found for found in _LOADERS[kind](wanted)} if wanted else {}


def _load_providers(wanted: Collection[int | None]) -> Iterator[dict[str, Any]]:
    for provider in db.session.scalars(sa.select(Provider).where(Provider.id.in_(wanted))):
        yield {
            "id": provider.id,
            "name": provider.name,
            "type": provider.type,
            "validation_status": provider.validation_status.value,
        }


def _load_tasks(wanted: Collection[int | None]) -> Iterator[dict[str, Any]]:
    query = sa.select(Task).options(defer(Task.response_schema)).where(Task.id.in_(wanted))
    return map(brief, db.session.scalars(query))


_LOADERS = {"provider": _load_providers, "task": _load_tasks}


def _dump_thing_item(item: Item, things: dict[int, dict[str, Any]], state: State) -> dict[str, Any]:
    # Of what is gone there is nothing else to say.
    body = things.get(item.thing_id or 0, {"id": item.thing_id, "name": item.name})
    return {
        "type": item.type.value,
        item.type.kind: body,
        "epoch": state.epoch,
        "rev": state.rev,
    }
