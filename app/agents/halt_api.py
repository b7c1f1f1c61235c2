"""REST: A14, the red button. Operators may press it, only admins let go of it."""

from typing import Any

from flask import Response
from flask.views import MethodView

from app.accounts.gate import Permission, current_caller, requires
from app.agents import halt
from app.agents.answers import agent_response
from app.agents.models import GlobalHalt
from app.agents.schemas import AgentOut, HaltIn, HaltOut
from app.core.db import read_on
from app.core.rest import Blueprint, expected_version

blueprint = Blueprint("halt", __name__, description="The red button")


@blueprint.route("/agents/<agent_id>/halt", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.arguments(HaltIn, required=False)
@blueprint.response(200, AgentOut)
def halt_agent(data: dict[str, Any], agent_id: str) -> Response:
    """Halt one agent: its clients refuse before any call."""
    current_caller().require_agent(agent_id)
    [agent] = halt.halt_agents([agent_id], data["reason"], expected_version())
    return agent_response(agent)


@blueprint.route("/agents/<agent_id>/resume", methods=["POST"])
@requires(Permission.ADMINISTER)
@blueprint.response(200, AgentOut)
def resume_agent(agent_id: str) -> Response:
    """Let one agent go on."""
    current_caller().require_agent(agent_id)
    [agent] = halt.resume_agents([agent_id], expected_version())
    return agent_response(agent)


@blueprint.route("/halt")
class Halt(MethodView):
    """The button for all agents."""

    @requires(Permission.READ)
    @blueprint.response(200, HaltOut)
    @blueprint.doc(operationId="get_halt")
    def get(self) -> dict[str, Any]:
        """Whether it is pressed, and how many agents are halted one by one."""
        return _dump(halt.get_red_button())

    @requires(Permission.OPERATE)
    @blueprint.arguments(HaltIn, required=False)
    @blueprint.response(200, HaltOut)
    @blueprint.doc(operationId="halt_all")
    def post(self, data: dict[str, Any]) -> dict[str, Any]:
        """Halt every agent, those still to come included."""
        current_caller().require_unbound()
        return _dump(halt.halt_all(data["reason"]))


@blueprint.route("/resume", methods=["POST"])
@requires(Permission.ADMINISTER)
@blueprint.response(200, HaltOut)
def resume_all() -> dict[str, Any]:
    """Let all go on but those that were halted one by one."""
    return _dump(halt.resume_all())


def _dump(button: GlobalHalt) -> dict[str, Any]:
    read_on()
    caller = current_caller()
    return {
        "halted": button.halted,
        "halted_reason": button.halted_reason,
        "halted_at": button.halted_at,
        "halted_agents": halt.count_halted(caller.visible_to, caller.agents),
    }
