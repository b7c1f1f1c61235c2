"""What the REST doors of agents share: who may see one, and row A3 as an answer."""

from flask import Response

from app.accounts.gate import Caller, current_caller
from app.agents.chain import get_agent
from app.agents.halt import get_red_button
from app.agents.models import Agent
from app.agents.schemas import dump_agent
from app.core.db import read_on
from app.core.errors import NotFound
from app.core.rest import with_etag


def agent_response(agent: Agent, warnings: list[str] | None = None, status: int = 200) -> Response:
    """Row A3 as an answer, with its ETag."""
    read_on()
    return with_etag(dump_agent(agent, get_red_button(), warnings), agent.version, status)


def visible_agent(agent_id: str) -> Agent:
    """The agent, if the caller may see it. Raises NotFound, Forbidden."""
    caller = current_caller()
    caller.require_agent(agent_id)
    check_visible(caller, agent_id)
    return get_agent(agent_id)


def check_visible(caller: Caller, agent_id: str) -> None:
    """A viewer learns nothing of other people's agents, not even that they exist."""
    if caller.owned_only and not caller.sees(get_agent(agent_id).owner_id):
        raise NotFound(f"There is no agent '{agent_id[:64]}'.")
