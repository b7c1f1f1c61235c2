"""REST: A1 to A9."""

from typing import Any

from flask import Response, jsonify, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, current_caller, requires, state_at_start
from app.agents import effective, effective_cache, services
from app.agents.answers import agent_response, check_visible, visible_agent
from app.agents.chain import get_agent
from app.agents.halt import get_red_button
from app.agents.provider_configs import ProviderConfigsOut, dump_provider_configs, stamp_of
from app.agents.schemas import (
    AgentArgs,
    AgentDeleted,
    AgentIn,
    AgentList,
    AgentOut,
    AgentPatch,
    AgentPut,
    ResolvedOut,
    dump_agent,
)
from app.core.db import reading
from app.core.errors import Invalid, NotFound
from app.core.rest import Blueprint, expected_version, not_modified, paged, with_etag

WRITTEN_AT = {
    "provider": "Write its name, or provider_id.",
    "fallbacks": "Write them at /agents/{agent_id}/llm-configs.",
    "tasks": "Write them at /agents/{agent_id}/tasks.",
}
NEVER_NULL = ("llm_provider", "llm_model")
blueprint = Blueprint("agents", __name__, description="Agents and their chains")


@blueprint.route("/agents")
class Agents(MethodView):
    """Rows A1 and A2."""

    @requires(Permission.READ)
    @blueprint.arguments(AgentArgs, location="query")
    @blueprint.response(200, AgentList)
    def get(self, args: dict[str, Any]) -> Any:
        """List agents by name."""
        caller = current_caller()
        narrowed = args | {"visible_to": caller.visible_to, "slugs": caller.agents}
        agents, total = paged(services.list_query(narrowed), args)
        button = get_red_button()
        return jsonify({"agents": [dump_agent(a, button) for a in agents], "total": total})

    @requires(Permission.WRITE)
    @blueprint.arguments(AgentIn)
    @blueprint.response(201, AgentOut)
    @blueprint.alt_response(409, description="The agent_id is taken")
    def post(self, data: dict[str, Any]) -> Response:
        """Create an agent, in the flat or the provider form."""
        data["agent_id"] = data.get("agent_id") or services.slug_of(data["name"])
        _check_fields(data)
        agent, warnings = services.create_agent(data)
        response = agent_response(agent, warnings, 201)
        response.location = url_for("agents.OneAgent", agent_id=agent.agent_id)
        return response


@blueprint.route("/agents/default")
@requires(Permission.READ)
@blueprint.response(200, AgentOut)
def get_default_agent() -> Response:
    """The global default agent (row A6)."""
    agent = services.find_default(None)
    if agent is None:
        raise NotFound("There is no global default agent.")
    current_caller().require_agent(agent.agent_id)
    return agent_response(agent)


@blueprint.route("/agents/current")
@requires(Permission.READ)
@blueprint.response(200, AgentOut)
def get_current_agent() -> Response:
    """The caller's agent (row A6): a bound token's one, else their default, else the global."""
    caller = current_caller()
    # A binding may fall back to the default, here as in row A8.
    agent = services.find_current(caller.agents, caller.user_id)
    if agent is None:
        raise NotFound("There is no agent of yours and no global default.")
    return agent_response(agent)


@blueprint.route("/agents/<agent_id>")
class OneAgent(MethodView):
    """Rows A3 to A5."""

    @requires(Permission.READ)
    @blueprint.response(200, AgentOut)
    def get(self, agent_id: str) -> Response:
        """Read one agent."""
        return agent_response(visible_agent(agent_id))

    @requires(Permission.WRITE)
    @blueprint.arguments(AgentPatch)
    @blueprint.response(200, AgentOut)
    @blueprint.alt_response(412, description="Somebody saved it since you read it")
    def patch(self, data: dict[str, Any], agent_id: str) -> Response:
        """Change the sent fields; null clears."""
        return self._update(data, agent_id)

    @requires(Permission.WRITE)
    @blueprint.arguments(AgentPut)
    @blueprint.response(200, AgentOut)
    @blueprint.alt_response(412, description="Somebody saved it since you read it")
    def put(self, data: dict[str, Any], agent_id: str) -> Response:
        """The same as PATCH, only the sent fields change; an agent may be sent as it was read."""
        current_caller().require_agent(agent_id)
        _leave_as_read(data, agent_id)
        return self._update(data, agent_id)

    @requires(Permission.WRITE)
    @blueprint.response(200, AgentDeleted)
    @blueprint.alt_response(400, description="It is the global default")
    def delete(self, agent_id: str) -> Any:
        """Remove an agent and its chain."""
        current_caller().require_agent(agent_id)
        services.delete_agent(agent_id, expected_version())
        return {"message": f"Agent '{agent_id}' is deleted.", "agent_id": agent_id}

    @staticmethod
    def _update(data: dict[str, Any], agent_id: str) -> Response:
        current_caller().require_agent(agent_id)
        if "owner_id" in data and data["owner_id"] == get_agent(agent_id).owner_id:
            del data["owner_id"]
        _check_fields(data)
        return agent_response(*services.update_agent(agent_id, data, expected_version()))


@blueprint.route("/agents/<agent_id>/set-default", methods=["POST"])
@requires(Permission.WRITE)
@blueprint.response(200, AgentOut)
def set_default_agent(agent_id: str) -> Response:
    """Make it the default among the agents of its owner (row A7)."""
    current_caller().require_agent(agent_id)
    return agent_response(services.set_default(agent_id, expected_version()))


@blueprint.route("/agents/<agent_id>/llm")
@requires(Permission.READ)
@blueprint.response(200, ResolvedOut)
def get_agent_llm(agent_id: str) -> Response:
    """What the agent really gets (row A8), keys under ``secrets:read`` only."""
    caller = current_caller()
    caller.require_agent(agent_id)
    check_visible(caller, agent_id)
    config = effective_cache.get_config(state_at_start(), agent_id, caller.user_id)
    etag = f"{config.stamp}-{caller.token_id}"
    return not_modified(etag) or with_etag(config.dump(reveal=caller.may(Permission.REVEAL)), etag)


@blueprint.route("/agents/<agent_id>/config")
@requires(Permission.READ)
@blueprint.response(200, ProviderConfigsOut)
def get_agent_config(agent_id: str) -> Response:
    """LLM, TTS and STT of the agent (row A9), keys under ``secrets:read`` only."""
    caller = current_caller()
    caller.require_agent(agent_id)
    check_visible(caller, agent_id)
    configs = effective.resolve_provider_configs(agent_id, caller.user_id)
    etag = f"{stamp_of(configs)}-{caller.token_id}"
    reveal = caller.may(Permission.REVEAL)
    return not_modified(etag) or with_etag(dump_provider_configs(configs, reveal=reveal), etag)


def _leave_as_read(data: dict[str, Any], agent_id: str) -> None:
    """Take out what a PUT has from its GET only: nulls, and what is written elsewhere. Raises
    Invalid where that is not as it is."""
    parts = [name for name in WRITTEN_AT if name in data and not isinstance(data[name], str)]
    nulls = [name for name, value in data.items() if value is None and name not in parts]
    if not parts and not nulls:
        return
    with reading():  # a look: the write begins its own transaction
        present = dump_agent(get_agent(agent_id), get_red_button())
    changed: dict[str, list[str]] = {}
    for name in parts:
        if _configured(data.pop(name)) != _configured(present[name]):
            changed[name] = [WRITTEN_AT[name]]
    for name in nulls:
        if name in present and present[name] is None:
            del data[name]
        elif name in NEVER_NULL:
            changed[name] = ["Field may not be null."]
    if changed:
        raise Invalid(changed)
    if "provider" in parts and data.get("llm_endpoint") == present["llm_endpoint"]:
        # It is that of the provider that was read, not of one that is chosen now.
        data.pop("llm_endpoint", None)


def _configured(part: Any) -> Any:
    """A part without what a check may have settled since it was read."""
    if isinstance(part, list):
        return [_configured(item) for item in part]
    if isinstance(part, dict):
        return {k: _configured(v) for k, v in part.items() if k != "validation_status"}
    return part


def _check_fields(data: dict[str, Any]) -> None:
    """Giving an agent away is an admin's business; a bound token stays within its binding."""
    if "owner_id" in data:
        current_caller().require(Permission.ADMINISTER)
    if "agent_id" in data:
        current_caller().require_agent(data["agent_id"])
