"""REST: A10 and A11, the chain of an agent."""

from typing import Any

from flask import Response, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, current_caller, requires
from app.agents import chain
from app.agents.answers import visible_agent
from app.agents.chain_schemas import (
    BulkIn,
    BulkOut,
    ChainIn,
    LLMConfigFields,
    LLMConfigIn,
    LLMConfigList,
    LLMConfigOut,
    dump_chain,
    dump_step,
)
from app.agents.models import Agent, LLMConfig
from app.core.db import read_on
from app.core.errors import NotFound
from app.core.rest import MAX_ID, Blueprint, expected_version, with_etag

blueprint = Blueprint("chain", __name__, description="The LLM configs of an agent")
STEP = f"<int(max={MAX_ID}):config_id>"


@blueprint.route("/agents/<agent_id>/llm-configs")
class LLMConfigs(MethodView):
    """The chain as a whole."""

    @requires(Permission.READ)
    @blueprint.response(200, LLMConfigList)
    def get(self, agent_id: str) -> Response:
        """The agent's chain, in order."""
        return _chain_response(visible_agent(agent_id))

    @requires(Permission.WRITE)
    @blueprint.arguments(LLMConfigIn)
    @blueprint.response(201, LLMConfigOut)
    def post(self, data: dict[str, Any], agent_id: str) -> Response:
        """Append a step; ``fallback_provider`` and ``fallback_model`` append a second one."""
        current_caller().require_agent(agent_id)
        step, warnings = chain.append_step(agent_id, data, expected_version())
        response = _step_response(step, warnings, 201)
        response.location = url_for("chain.OneLLMConfig", agent_id=agent_id, config_id=step.id)
        return response

    @requires(Permission.WRITE)
    @blueprint.arguments(ChainIn)
    @blueprint.response(200, LLMConfigList)
    def put(self, data: dict[str, Any], agent_id: str) -> Response:
        """Replace the chain: items with ``id`` keep their keys, new ones are made, others go."""
        current_caller().require_agent(agent_id)
        items = data["llm_configs"]
        return _chain_response(*chain.replace_chain(agent_id, items, expected_version()))


@blueprint.route("/agents/<agent_id>/llm-configs/primary")
@requires(Permission.READ)
@blueprint.response(200, LLMConfigOut)
def get_primary(agent_id: str) -> Response:
    """Step 0."""
    agent = visible_agent(agent_id)
    if not agent.llm_configs:
        raise NotFound(f"The agent '{agent_id}' has no chain.")
    return _step_response(agent.llm_configs[0])


@blueprint.route(f"/agents/<agent_id>/llm-configs/{STEP}")
class OneLLMConfig(MethodView):
    """One step. Its version is its agent's."""

    @requires(Permission.READ)
    @blueprint.response(200, LLMConfigOut)
    def get(self, agent_id: str, config_id: int) -> Response:
        """Read one step."""
        return _step_response(chain.get_step(visible_agent(agent_id), config_id))

    @requires(Permission.WRITE)
    @blueprint.arguments(LLMConfigFields)
    @blueprint.response(200, LLMConfigOut)
    def patch(self, data: dict[str, Any], agent_id: str, config_id: int) -> Response:
        """Change the sent fields of one step."""
        current_caller().require_agent(agent_id)
        return _step_response(*chain.update_step(agent_id, config_id, data, expected_version()))

    @requires(Permission.WRITE)
    @blueprint.response(200, LLMConfigList)
    def delete(self, agent_id: str, config_id: int) -> Response:
        """Remove one step; those behind it move up."""
        current_caller().require_agent(agent_id)
        return _chain_response(chain.delete_step(agent_id, config_id, expected_version()))


@blueprint.route("/llm-configs/bulk", methods=["POST"])
@requires(Permission.WRITE)
@blueprint.arguments(BulkIn)
@blueprint.response(200, BulkOut)
def replace_primaries(data: dict[str, Any]) -> dict[str, Any]:
    """Replace step 0 of each agent, keep their fallbacks: all or nothing (row A11)."""
    for agent_id in data["agent_ids"]:
        current_caller().require_agent(agent_id)
    agents, warnings = chain.replace_primaries(data["agent_ids"], data["config"])
    updated = [agent.agent_id for agent in agents]
    return {"agent_ids": updated, "total": len(updated), "warnings": warnings}


def _chain_response(agent: Agent, warnings: list[str] | None = None) -> Response:
    read_on()
    body: dict[str, Any] = {"llm_configs": dump_chain(agent), "total": len(agent.llm_configs)}
    return with_etag(body | ({"warnings": warnings} if warnings else {}), agent.version)


def _step_response(
    step: LLMConfig, warnings: list[str] | None = None, status: int = 200
) -> Response:
    read_on()
    body = dump_step(step) | ({"warnings": warnings} if warnings else {})
    return with_etag(body, step.agent.version, status)
