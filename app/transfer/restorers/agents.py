"""Bringing an agent with its chain and voices, or one of these alone, back to what it was."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.accounts.models import User
from app.agents import services
from app.agents.chain import CLEARED_TO
from app.agents.chain_schemas import PRICES
from app.agents.models import Agent, LLMConfig, SpeechConfig
from app.agents.speech import FIELD_OF, as_a_whole
from app.changes.models import Change, Operation
from app.changes.services import Past, find_past, history_query
from app.changes.tracker import image_of
from app.core.db import db, find_row
from app.core.errors import Conflict, Forbidden
from app.core.versions import check_version
from app.providers.models import Capability, Provider
from app.tasks.assignments import replace_assignments
from app.tasks.models import Assignment, Task
from app.transfer.restorers.base import Wish, find_today, is_still_there, key_warnings, past_of

OWN_FIELDS = ("agent_id", "name", "description", "system_prompt", "user_prompt", "is_active")
STEP_FIELDS = ("model_name", "endpoint", *CLEARED_TO, "enabled")


class Part(NamedTuple):
    """A step or a voice as it was. ``row`` is the same one today, None where it is gone."""

    row: Any
    past: Past


def restore_agent(wish: Wish) -> tuple[Any, list[str]]:
    """The agent with everything that is part of it. Whether it is halted stays as it is."""
    row = find_row(Agent, wish.entity_id, for_update=True)
    past = past_of(wish, row)
    row = None if past.ended else row
    if row is not None:
        check_version(row.version, wish.expected_version)
    owner, warnings = _owner_of(past, row, wish)
    steps = _parts_of(LLMConfig, row.llm_configs if row else (), wish)
    voices = _parts_of(SpeechConfig, row.speech_configs if row else (), wish)
    tasks, lost = _tasks_of(row, wish)
    data = _own_fields(past, owner) | _voices(voices, wish.rev)
    data["llm_configs"] = [_item(step, wish.rev) for step in steps]
    warnings += _default_warnings(owner, row) if data["is_default"] else []
    if row is None:
        row, found = services.add_agent(data)
        _halt_again(row, wish)
    else:
        found = services.change_agent(row, data)
    replace_assignments(row, tasks)
    return row, warnings + lost + found + _part_warnings(row, steps, voices)


def restore_step(wish: Wish) -> tuple[Any, list[str]]:
    """One step of a chain; a removed one goes back to its place among the present ones."""
    step, agent = part_of_agent(LLMConfig, wish)
    past = step.past
    items: list[dict[str, Any]] = [
        {"id": other.id} for other in agent.llm_configs if other is not step.row
    ]
    items.insert(past.image["position"], _item(step, wish.rev))
    warnings = services.change_agent(agent, {"llm_configs": items})
    place = min(past.image["position"], len(items) - 1)
    restored = next(it for it in agent.llm_configs if it.position == place)
    return restored, warnings + key_warnings("The step", past, restored.api_key_set)


def restore_speech(wish: Wish) -> tuple[Any, list[str]]:
    """How the agent spoke, or listened."""
    voice, agent = part_of_agent(SpeechConfig, wish)
    capability = Capability(voice.past.image["capability"])
    field = FIELD_OF[capability]
    services.change_agent(agent, {field: _voices([voice], wish.rev)[field]})
    restored = next(it for it in agent.speech_configs if it.capability is capability)
    return restored, key_warnings("The voice", voice.past, restored.api_key_set)


def _own_fields(past: Past, owner: int | None) -> dict[str, Any]:
    image = past.image
    data = {name: image.get(name) for name in OWN_FIELDS}
    data |= {"metadata_": image.get("metadata") or {}, "owner_id": owner}
    # Without its owner it would become everybody's default.
    data["is_default"] = image.get("is_default") is True and image.get("owner_id") == owner
    return data


def _owner_of(past: Past, row: Agent | None, wish: Wish) -> tuple[int | None, list[str]]:
    """Who is to own it, with a warning. Raises Forbidden where the caller may not decide that."""
    owner_id: int | None = past.image.get("owner_id")
    warnings: list[str] = []
    if owner_id is not None and not is_still_there(User, owner_id, wish.rev):
        owner_id = None
        warnings.append("Its owner's account is gone: it belongs to nobody now.")
    if owner_id != (row.owner_id if row else None) and not wish.may_give_away:
        raise Forbidden("To give the agent to another owner needs the permission to administer.")
    return owner_id, warnings


def part_of_agent(model: Any, wish: Wish) -> tuple[Part, Agent]:
    """The part, and the agent that it belonged to, locked. Raises NotFound, Stale, and Conflict
    where the agent is gone."""
    agent_pk = past_of(wish, db.session.get(model, wish.entity_id)).image["agent_id"]
    agent = find_row(Agent, agent_pk, for_update=True)
    if agent is None or not is_still_there(Agent, agent_pk, wish.rev):
        raise Conflict("The agent that it was a part of is deleted: restore the agent.")
    check_version(agent.version, wish.expected_version)
    row = find_row(model, wish.entity_id, for_update=True)  # after its agent, as every write
    past = past_of(wish, row)
    return Part(None if past.ended else row, past), agent


def _parts_of(model: Any, rows: Iterable[Any], wish: Wish) -> list[Part]:
    """The agent's parts as they were, those that are gone included."""
    present = {row.id: row for row in rows}
    # Every change that took something away from this agent, or gave its id to another.
    owner = sa.cast(Change.diff[("agent_id", 0)].as_string(), sa.String)
    query = sa.select(Change.entity_id).distinct().where(Change.entity == model.entity)
    query = query.where(Change.rev > wish.rev, owner == str(wish.entity_id))
    parts: list[Part] = []
    for row_id in sorted({*present, *db.session.scalars(query)}):
        row = present.get(row_id)
        past = find_past(model.entity, row_id, wish.rev, image_of(row) if row else None)
        if past is not None and past.image.get("agent_id") == wish.entity_id:
            parts.append(Part(None if past.ended else row, past))
    return sorted(parts, key=lambda part: part.past.image.get("position") or 0)


def _item(step: Part, rev: int) -> dict[str, Any]:
    """The step as the services take it; a step that is still there keeps its id, and so its key."""
    image = step.past.image
    item = {name: image[name] for name in STEP_FIELDS if name in image}
    item["metadata_"] = image.get("metadata") or {}
    for name in PRICES:
        item[name] = None if image.get(name) is None else Decimal(image[name])
    item["provider_id"] = _provider_id(image["provider_id"], rev)
    return item if step.row is None else item | {"id": step.row.id}


def _voices(voices: list[Part], rev: int) -> dict[str, Any]:
    """Both voices as the services take them; one that was not there goes."""
    data: dict[str, Any] = dict.fromkeys(FIELD_OF.values())
    for voice in voices:
        image = voice.past.image
        provider_id = _provider_id(image["provider_id"], rev)
        capability = Capability(image["capability"])
        settings = as_a_whole(capability, image["settings"])
        data[FIELD_OF[capability]] = {**settings, "provider_id": provider_id}
    return data


def _provider_id(provider_id: int, rev: int) -> int:
    found, name = find_today(Provider, provider_id, rev)
    if found is None:
        raise Conflict(f"The provider that it used, {name}, is deleted: restore it first.")
    return found


def _tasks_of(row: Agent | None, wish: Wish) -> tuple[dict[int, bool], list[str]]:
    """The tasks that the agent had; one that is deleted since is left out, and named."""
    wanted: dict[int, bool] = {}
    warnings: list[str] = []
    for part in _parts_of(Assignment, row.assignments if row else (), wish):
        found, name = find_today(Task, part.past.image["task_id"], wish.rev)
        if found is None:
            warnings.append(f"It does not get the task {name} back: that is deleted.")
        else:
            wanted[found] = part.past.image["is_active"]
    return wanted, warnings


def _default_warnings(owner: int | None, row: Agent | None) -> list[str]:
    present = services.find_default(owner)
    if present is None or present is row:
        return []
    return [f"It is the default again, in the place of {present.agent_id}."]


def _halt_again(agent: Agent, wish: Wish) -> None:
    """A halted agent that was deleted comes back halted: only a person lets it go on."""
    query = history_query("agent", entity_id=wish.entity_id, rev_from=wish.rev + 1)
    deleted = query.where(Change.operation == Operation.DELETE).order_by(None).order_by(Change.rev)
    image = db.session.scalars(deleted.limit(1)).one().diff
    if "halted_at" in image:
        agent.halted_at = datetime.fromisoformat(image["halted_at"][0])
        agent.halted_reason = image.get("halted_reason", [None])[0]


def _part_warnings(agent: Agent, steps: list[Part], voices: list[Part]) -> list[str]:
    chain = sorted(agent.llm_configs, key=lambda step: step.position)
    warnings: list[str] = []
    for number, step in enumerate(steps):
        warnings += key_warnings(f"Step {number}", step.past, chain[number].api_key_set)
    for voice in voices:
        capability = voice.past.image["capability"]
        now = next(it for it in agent.speech_configs if it.capability == capability)
        warnings += key_warnings(f"The {capability} voice", voice.past, now.api_key_set)
    return warnings
