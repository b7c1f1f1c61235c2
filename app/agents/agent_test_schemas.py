"""The wire shape of tests of an agent (row A13)."""

from typing import Any

from marshmallow import fields

from app.agents.agent_test_models import AgentTest, AgentTestStatus, StepStatus
from app.agents.models import GlobalHalt
from app.agents.resolution import find_halt
from app.core.rest import Schema


class TestedStepOut(Schema):
    """One step of the chain, and what its call brought."""

    position = fields.Integer()
    provider = fields.String()
    provider_name = fields.String()
    model = fields.String()
    endpoint = fields.String()
    status = fields.Enum(StepStatus, by_value=True)
    http_status = fields.Integer(allow_none=True)
    latency_ms = fields.Integer(allow_none=True)
    answered_model = fields.String(allow_none=True)
    text = fields.String(allow_none=True, metadata={"description": "The reply's beginning."})
    input_tokens = fields.Integer(allow_none=True)
    output_tokens = fields.Integer(allow_none=True)
    error = fields.String(allow_none=True)


class AgentTestOut(Schema):
    """A test of an agent; its steps fill in as they finish."""

    id = fields.Integer()
    agent_id = fields.String()
    status = fields.Enum(AgentTestStatus, by_value=True)
    ok = fields.Boolean(
        allow_none=True,
        metadata={"description": "Whether no step is in error; null until it is done."},
    )
    source = fields.String()
    halted = fields.Boolean()
    halted_reason = fields.String(allow_none=True)
    requested_by = fields.String()
    created_at = fields.AwareDateTime()
    started_at = fields.AwareDateTime(allow_none=True)
    finished_at = fields.AwareDateTime(allow_none=True)
    steps = fields.List(fields.Nested(TestedStepOut))


NO_RESULT = dict.fromkeys(
    ("http_status", "latency_ms", "answered_model", "text", "input_tokens", "output_tokens")
)


def dump_test(test: AgentTest, red_button: GlobalHalt) -> dict[str, Any]:
    """Row A13. A halted agent can be tested, before it is resumed say, so its state is told."""
    halt = find_halt(red_button, test.agent)
    failed = any(step["status"] == StepStatus.ERROR for step in test.steps)
    return {
        "id": test.id,
        "agent_id": test.agent.agent_id,
        "status": test.status.value,
        "ok": None if test.finished_at is None else not failed,
        "source": test.source,
        "halted": halt is not None,
        "halted_reason": halt.halted_reason if halt else None,
        "requested_by": test.requested_by,
        "created_at": test.created_at.isoformat(),
        "started_at": test.started_at.isoformat() if test.started_at else None,
        "finished_at": test.finished_at.isoformat() if test.finished_at else None,
        "steps": [NO_RESULT | step for step in test.steps],
    }
