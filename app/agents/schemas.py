"""The wire shape of agents, in every form, and the only place that reveals a key."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.agents.chain_schemas import (
    ENDPOINT,
    PROVIDER,
    TEMPERATURE,
    TIMEOUT,
    StepFields,
    dump_parameters,
    dump_prices,
)
from app.agents.fields import Slug
from app.agents.models import Agent, GlobalHalt, LLMConfig
from app.agents.resolution import Resolved, Source, effective_endpoint, effective_key, find_halt
from app.agents.spelling import to_flat
from app.core.crypto import KeyUnreadable
from app.core.rest import (
    MAX_ID,
    Flag,
    HttpUrl,
    JsonObject,
    KeyText,
    Number,
    PageArgs,
    Pattern,
    ReadBack,
    Schema,
    Text,
    WholeNumber,
)
from app.providers.keys import EffectiveKey, environment_key
from app.providers.models import BudgetState, Provider, ValidationStatus

CURRENCY = "USD"
BUDGET_STATES = [state.value for state in BudgetState]
SOURCES = [source.value for source in Source]
STATUSES = [status.value for status in ValidationStatus]
MAX_TEXT = 200_000  # characters of a prompt


class FlatFields(Schema):
    """The flat form: step 0 as fields of the agent."""

    llm_provider = Text(min_length=1, max_length=128, metadata=PROVIDER)
    llm_model = Text(min_length=1, max_length=256)
    llm_endpoint = HttpUrl(allow_none=True, metadata=ENDPOINT)
    llm_api_key = KeyText()
    llm_timeout = WholeNumber(low=1, high=300, allow_none=True, metadata=TIMEOUT)
    llm_temperature = Number(low=0, high=2, allow_none=True, metadata=TEMPERATURE)
    llm_top_p = Number(low=0, high=1, allow_none=True)
    llm_max_tokens = WholeNumber(low=1, high=128_000, allow_none=True)


class NestedLLM(ReadBack):
    """Row A9's form of step 0."""

    only_read = frozenset({"api_key_id"})

    provider = Text(min_length=1, max_length=128)
    provider_id = WholeNumber(low=1, high=MAX_ID)
    model = Text(min_length=1, max_length=256)
    api_url = HttpUrl(allow_none=True)
    completions_path = fields.String(validate=Pattern(r"^/[\w./{}:-]{0,200}$"), allow_none=True)
    api_key = KeyText()
    timeout = WholeNumber(low=1, high=300, allow_none=True)
    temperature = Number(low=0, high=2, allow_none=True)
    top_p = Number(low=0, high=1, allow_none=True)
    max_tokens = WholeNumber(low=1, high=128_000, allow_none=True)


class NestedSpeech(ReadBack):
    """Row A9's form of speech; what is not named here is a setting that the adapter checks."""

    only_read = frozenset({"api_key_id"})

    class Meta:
        unknown = ma.INCLUDE

    provider = Text(min_length=1, max_length=128)
    provider_id = WholeNumber(low=1, high=MAX_ID)
    api_key = KeyText()


class AgentPatch(FlatFields, StepFields):
    """What changes an agent, in any of the forms."""

    llm_provider_config = fields.Nested(NestedLLM)
    tts_provider_config = fields.Nested(NestedSpeech, allow_none=True)
    stt_provider_config = fields.Nested(NestedSpeech, allow_none=True)

    agent_id = Slug()
    name = Text(min_length=1, max_length=128)
    description = Text(max_length=MAX_TEXT, allow_none=True)
    system_prompt = Text(max_length=MAX_TEXT, allow_none=True)
    user_prompt = Text(max_length=MAX_TEXT, allow_none=True)
    owner_id = WholeNumber(low=1, high=MAX_ID, allow_none=True)
    is_default = Flag()
    is_active = Flag()
    metadata_ = JsonObject(data_key="metadata")


class NameOrAsRead(Text):
    """A provider by its name; or step 0's as a read shows it, which the door compares."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value and isinstance(value, dict):
            return value
        return super()._deserialize(value, *args, **kwargs)


class AgentPut(ReadBack, AgentPatch):
    """The same, or an agent as it was read: what is written elsewhere, or null for want of a chain,
    is then as it was."""

    only_read = ReadBack.only_read | {
        "halted",
        "halted_reason",
        "llm_provider_name",
        "llm_api_key_set",
        "warnings",
    }

    llm_provider = Text(min_length=1, max_length=128, allow_none=True)
    llm_model = Text(min_length=1, max_length=256, allow_none=True)
    provider = NameOrAsRead(min_length=1, max_length=128, allow_none=True)
    fallbacks = fields.List(fields.Dict())
    tasks = fields.List(fields.Dict())


class AgentIn(AgentPatch):
    """What creates an agent, in either form; without a model it has no chain yet."""

    agent_id = Slug(allow_none=True)
    name = Text(min_length=1, max_length=128, required=True)


class ProviderBrief(Schema):
    """The provider of step 0."""

    id = fields.Integer()
    name = fields.String()
    type = fields.String()
    validation_status = fields.Enum(ValidationStatus, by_value=True)


class FlatStepOut(Schema):
    """A step in the flat form, as it is read; null where the agent has no chain."""

    llm_provider = fields.String(allow_none=True)
    llm_provider_name = fields.String(allow_none=True)
    llm_model = fields.String(allow_none=True)
    llm_endpoint = fields.String(allow_none=True)
    llm_timeout = fields.Integer(allow_none=True)
    llm_temperature = fields.Float(allow_none=True)
    llm_top_p = fields.Float(allow_none=True)
    llm_max_tokens = fields.Integer(allow_none=True)
    llm_api_key_set = fields.Boolean()
    provider = fields.Nested(ProviderBrief, allow_none=True)


class TaskBrief(Schema):
    """A task that the agent has; its schema is at ``/agents/{agent_id}/tasks``."""

    id = fields.Integer()
    name = fields.String()
    is_active = fields.Boolean()


class AgentOut(FlatStepOut):
    """Row A3."""

    id = fields.Integer()
    agent_id = fields.String()
    name = fields.String()
    description = fields.String(allow_none=True)
    system_prompt = fields.String(allow_none=True)
    user_prompt = fields.String(allow_none=True)
    owner_id = fields.Integer(allow_none=True)
    is_default = fields.Boolean()
    is_active = fields.Boolean()
    metadata = fields.Dict()
    halted = fields.Boolean()
    halted_reason = fields.String(allow_none=True)
    fallbacks = fields.List(fields.Nested(FlatStepOut))
    tasks = fields.List(fields.Nested(TaskBrief))
    warnings = fields.List(fields.String())
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class AgentList(Schema):
    """A page of agents."""

    agents = fields.List(fields.Nested(AgentOut))
    total = fields.Integer()


class AgentDeleted(Schema):
    """What a delete answers."""

    message = fields.String()
    agent_id = fields.String()


class HaltIn(Schema):
    """Why the red button is pressed; clients show it to whoever calls."""

    reason = Text(max_length=500, allow_none=True, load_default=None)


class HaltOut(Schema):
    """The button for all agents."""

    halted = fields.Boolean()
    halted_reason = fields.String(allow_none=True)
    halted_at = fields.AwareDateTime(allow_none=True)
    halted_agents = fields.Integer(
        metadata={"description": "How many of the agents that you may see are halted one by one."}
    )


class AgentArgs(PageArgs):
    """Filters of the list."""

    active_only = fields.Boolean(load_default=False)


class Prices(Schema):
    """A step's own prices; null = the next price source, 0 = free."""

    currency = fields.String(validate=validate.Equal(CURRENCY))
    cost_per_1k_input_tokens = fields.String(allow_none=True)
    cost_per_1k_output_tokens = fields.String(allow_none=True)
    cost_per_1k_cached_input_tokens = fields.String(allow_none=True)
    cost_per_1k_reasoning_tokens = fields.String(allow_none=True)


class ResolvedStep(Schema):
    """A step as a client receives it."""

    llm_provider = fields.String()
    llm_provider_name = fields.String()
    llm_endpoint = fields.String()
    llm_model = fields.String()
    llm_timeout = fields.Integer()
    llm_temperature = fields.Float()
    llm_top_p = fields.Float(allow_none=True)
    llm_max_tokens = fields.Integer(allow_none=True)
    llm_api_key = fields.String(allow_none=True)
    llm_api_key_id = fields.String(allow_none=True)
    provider_status = fields.String(validate=validate.OneOf(STATUSES))
    provider_budget_state = fields.String(validate=validate.OneOf(BUDGET_STATES))
    prices = fields.Nested(Prices)
    metadata = fields.Dict()


class ResolvedOut(ResolvedStep):
    """Row A8."""

    agent_id = fields.String()
    requested_agent_id = fields.String()
    source = fields.String(validate=validate.OneOf(SOURCES))
    is_default = fields.Boolean()
    version = fields.Integer()
    config_version = fields.Integer()
    rev = fields.Integer()
    epoch = fields.String()
    halted = fields.Boolean()
    halted_reason = fields.String(allow_none=True)
    budget_state = fields.String(validate=validate.OneOf(BUDGET_STATES))
    fallbacks = fields.List(fields.Nested(ResolvedStep))


def dump_agent(
    agent: Agent, red_button: GlobalHalt, warnings: list[str] | None = None
) -> dict[str, Any]:
    """Row A3."""
    halt = find_halt(red_button, agent)
    steps = [_dump_flat_step(step) for step in agent.llm_configs]
    body = {
        "id": agent.id,
        "agent_id": agent.agent_id,
        "name": agent.name,
        "description": agent.description,
        "system_prompt": agent.system_prompt,
        "user_prompt": agent.user_prompt,
        "owner_id": agent.owner_id,
        "is_default": agent.is_default,
        "is_active": agent.is_active,
        "metadata": agent.metadata_,
        "halted": halt is not None,
        "halted_reason": halt.halted_reason if halt else None,
        **(steps[0] if steps else _NO_STEP),
        "fallbacks": steps[1:],
        "tasks": [_dump_task(assignment) for assignment in agent.assignments],
        "version": agent.version,
        "created_at": agent.created_at.isoformat(),
        "updated_at": agent.updated_at.isoformat(),
    }
    return body | ({"warnings": warnings} if warnings else {})


def dump_resolved(resolved: Resolved, *, epoch: str, rev: int, reveal: bool) -> dict[str, Any]:
    """Row A8; ``reveal`` puts the keys in."""
    first, *rest = [_dump_resolved_step(step, reveal) for step in resolved.steps]
    return {
        "agent_id": resolved.agent.agent_id,
        "requested_agent_id": resolved.requested,
        "source": resolved.source.value,
        "is_default": resolved.agent.is_default and resolved.agent.owner_id is None,
        "version": resolved.agent.version,
        "config_version": resolved.config_version,
        "rev": rev,
        "epoch": epoch,
        **first,
        "halted": resolved.halted_by is not None,
        "halted_reason": resolved.halted_by.halted_reason if resolved.halted_by else None,
        "budget_state": resolved.budget_state.value,
        "fallbacks": rest,
    }


def _dump_resolved_step(step: LLMConfig, reveal: bool) -> dict[str, Any]:
    key = effective_key(step, environment_key)
    return {
        **to_flat({"provider": step.provider.type, "endpoint": effective_endpoint(step)}),
        "llm_provider_name": step.provider.name,
        **to_flat(dump_parameters(step)),
        **to_flat({"api_key": reveal_key(key) if reveal else None}),
        "llm_api_key_id": key.key_id if key else None,
        "provider_status": step.provider.settled_status.value,
        "provider_budget_state": BudgetState.worst(step.provider.budget_state).value,
        "prices": {"currency": CURRENCY, **dump_prices(step)},
        "metadata": step.metadata_,
    }


def reveal_key(key: EffectiveKey | None) -> str | None:
    """A key in clear, on its way to a caller who may have it: nowhere else does one come out."""
    try:
        secret = key.open() if key else None
    except KeyUnreadable:
        return None  # it must be entered again; until then the call goes without
    return secret.get_secret_value() if secret else None


def _dump_flat_step(step: LLMConfig) -> dict[str, Any]:
    return {
        **to_flat({"provider": step.provider.type, "endpoint": effective_endpoint(step)}),
        "llm_provider_name": step.provider.name,
        **to_flat(dump_parameters(step)),
        "llm_api_key_set": effective_key(step, environment_key) is not None,
        "provider": _provider_brief(step.provider),
    }


def _provider_brief(provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "type": provider.type,
        "validation_status": provider.validation_status.value,
    }


def _dump_task(assignment: Any) -> dict[str, Any]:
    return {
        "id": assignment.task_id,
        "name": assignment.task.name,
        "is_active": assignment.is_active,
    }


_NO_STEP = {
    **dict.fromkeys(to_flat(dict.fromkeys(("provider", "endpoint")))),
    "llm_provider_name": None,
    **dict.fromkeys(
        to_flat(dict.fromkeys(("model_name", "timeout", "temperature", "top_p", "max_tokens")))
    ),
    "llm_api_key_set": False,
    "provider": None,
}
