"""The red button: halted agents are refused by their clients before any call (row A14)."""

from app.agents.chain import get_agent
from app.agents.models import Agent, GlobalHalt
from app.core.clock import utcnow
from app.core.db import commit, db


def get_red_button(*, for_update: bool = False) -> GlobalHalt:
    """The button for all agents."""
    return db.session.get_one(GlobalHalt, 1, with_for_update=for_update or None)


def halt_agents(agent_ids: list[str], reason: str | None = None) -> list[Agent]:
    """Halt these agents, all or none. A halted one takes the new reason. Raises NotFound."""
    agents = [get_agent(agent_id, for_update=True) for agent_id in sorted(set(agent_ids))]
    for agent in agents:
        _press(agent, reason)
    commit()
    return agents


def resume_agents(agent_ids: list[str]) -> list[Agent]:
    """Let these agents go on, all or none. Raises NotFound."""
    agents = [get_agent(agent_id, for_update=True) for agent_id in sorted(set(agent_ids))]
    for agent in agents:
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
    it.halted_at = it.halted_at or utcnow()
    it.halted_reason = reason


def _release(it: Agent | GlobalHalt) -> None:
    it.halted_at = None
    it.halted_reason = None
