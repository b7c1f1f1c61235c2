"""The red button: halted agents are refused by their clients before any call (row A14)."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from app.agents.chain import lock_agents
from app.agents.models import Agent, GlobalHalt
from app.core.actor import current_actor
from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.versions import check_version
from app.webhooks.models import EventType
from app.webhooks.services import announce


def get_red_button(*, for_update: bool = False) -> GlobalHalt:
    """The button for all agents."""
    return db.session.get_one(
        GlobalHalt, 1, with_for_update=for_update or None, populate_existing=for_update
    )


def count_halted(visible_to: int | None = None, slugs: Collection[str] | None = None) -> int:
    """How many agents are halted one by one, of those that a caller may see (None = all)."""
    query = only_halted(sa.select(sa.func.count(Agent.id)))
    if visible_to is not None:
        query = query.where(Agent.visible(visible_to))
    if slugs is not None:
        query = query.where(Agent.agent_id.in_(slugs))
    return db.session.scalar(query) or 0


def only_halted(query: sa.Select[Any]) -> sa.Select[Any]:
    """Of a query for agents, those that are halted one by one."""
    return query.where(Agent.halted_at.is_not(None))


def halt_agents(
    agent_ids: list[str], reason: str | None = None, expected_version: int | None = None
) -> list[Agent]:
    """Halt these agents, all or none. A halted one takes the new reason.

    ``expected_version`` is for one agent alone. Raises NotFound, Stale.
    """
    agents = lock_agents(agent_ids)
    for agent in agents:
        check_version(agent.version, expected_version)
        _press(agent, reason)
    commit()
    return agents


def resume_agents(agent_ids: list[str], expected_version: int | None = None) -> list[Agent]:
    """Let these agents go on, all or none; ``expected_version`` as above.

    Raises NotFound, Stale.
    """
    agents = lock_agents(agent_ids)
    for agent in agents:
        check_version(agent.version, expected_version)
        _release(agent)
    commit()
    return agents


def halt_all(reason: str | None = None) -> GlobalHalt:
    """Halt every agent, those still to come included."""
    button = get_red_button(for_update=True)
    _press(button, reason)
    commit()
    return button


def resume_all() -> GlobalHalt:
    """Let go of the button for all; agents that were halted one by one stay halted."""
    button = get_red_button(for_update=True)
    _release(button)
    commit()
    return button


def _press(it: Agent | GlobalHalt, reason: str | None) -> None:
    if not it.halted:
        _tell(EventType.AGENT_HALTED, it, reason)
    it.halted_at = it.halted_at or utcnow()
    it.halted_reason = reason


def _release(it: Agent | GlobalHalt) -> None:
    if it.halted:
        _tell(EventType.AGENT_RESUMED, it)
    it.halted_at = None
    it.halted_reason = None


def _tell(event: EventType, it: Agent | GlobalHalt, reason: str | None = None) -> None:
    agent_id = it.agent_id if isinstance(it, Agent) else None
    who = f"The agent {agent_id} is" if agent_id else "All agents are"
    what = event.value.partition(".")[2]
    message = f"{who} {what} by {current_actor()}" + (f": {reason}" if reason else ".")
    announce(event, {"message": message, "agent_id": agent_id, "reason": reason})
