"""LLM configs across agents: every step of every chain, and moving one within its own."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import contains_eager, selectinload

from app.agents.chain import get_agent, get_step, replace_chain
from app.agents.models import Agent, LLMConfig
from app.core.db import db
from app.core.errors import NotFound


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Steps by agent and position, filtered by ``provider_id``, ``model`` (a part of its name) and
    ``search`` (a part of the agent's name or slug); ``visible_to`` narrows it to the caller's."""
    query = (
        sa.select(LLMConfig)
        .join(LLMConfig.agent)
        .options(contains_eager(LLMConfig.agent).options(selectinload(Agent.llm_configs)))
        .order_by(Agent.name, Agent.id, LLMConfig.position)
    )
    if args.get("provider_id") is not None:
        query = query.where(LLMConfig.provider_id == args["provider_id"])
    if args.get("model"):
        query = query.where(LLMConfig.model_name.icontains(args["model"], autoescape=True))
    if args.get("search"):
        query = query.where(Agent.called(args["search"]))
    if args.get("visible_to") is not None:
        query = query.where(Agent.visible(args["visible_to"]))
    return query


def get_config(config_id: int) -> LLMConfig:
    """The step with this id, whoever's it is. Raises NotFound."""
    step = db.session.get(LLMConfig, config_id)
    if step is None:
        raise NotFound("There is no such LLM config.")
    return step


def move(config_id: int, by: int, expected_version: int | None = None) -> LLMConfig:
    """Change places with the step before (-1) or behind (1); at the end nothing changes.

    ``expected_version`` is the agent's. Raises NotFound, Stale.
    """
    step = get_config(config_id)
    agent = get_agent(step.agent.agent_id, for_update=True)
    # It may have been removed while the agent was waited for.
    here = agent.llm_configs.index(get_step(agent, config_id))
    order = [other.id for other in agent.llm_configs]
    there = min(max(here + by, 0), len(order) - 1)
    order.insert(there, order.pop(here))
    replace_chain(agent.agent_id, [{"id": key} for key in order], expected_version)
    return step
