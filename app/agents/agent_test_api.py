"""REST: A13, tests of an agent."""

from typing import Any

from flask import Response, jsonify, url_for

from app.accounts.gate import Permission, requires
from app.agents import agent_tests
from app.agents.agent_test_models import AgentTest
from app.agents.agent_test_schemas import AgentTestOut, dump_test
from app.agents.answers import visible_agent
from app.agents.halt import get_red_button
from app.core.db import read_on
from app.core.errors import NotFound
from app.core.rest import MAX_ID, Blueprint

blueprint = Blueprint("agent_tests", __name__, description="Tests of an agent, by real calls")


@blueprint.route("/agents/<agent_id>/test", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.response(202, AgentTestOut)
def test_agent(agent_id: str) -> Response:
    """Call every step of its chain once; ``Location`` says where the result fills in.

    While a test of the agent is under way, that one is answered.
    """
    test = agent_tests.request_test(visible_agent(agent_id))
    read_on()
    response = _test_response(test)
    response.status_code = 202
    response.location = url_for("agent_tests.get_agent_test", agent_id=agent_id, test_id=test.id)
    return response


@blueprint.route(f"/agents/<agent_id>/tests/<int(max={MAX_ID}):test_id>")
@requires(Permission.READ)
@blueprint.response(200, AgentTestOut)
def get_agent_test(agent_id: str, test_id: int) -> Any:
    """How far a test has come, and what each step's call brought."""
    agent = visible_agent(agent_id)
    test = agent_tests.get_test(test_id)
    if test.agent_pk != agent.id:
        raise NotFound("There is no such test.")
    return _test_response(test)


def _test_response(test: AgentTest) -> Response:
    response: Response = jsonify(dump_test(test, get_red_button()))
    response.headers["Cache-Control"] = "no-store"
    return response
