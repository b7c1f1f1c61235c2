"""The wire shape of chains: the step form, written and read."""

from typing import Any

from marshmallow import fields, validate

from app.agents.fields import Price, Slug
from app.agents.models import Agent, LLMConfig
from app.core.rest import (
    MAX_ID,
    Flag,
    HttpUrl,
    JsonObject,
    KeyText,
    Number,
    ReadBack,
    Schema,
    Text,
    WholeNumber,
)

PRICES = (
    "cost_per_1k_input_tokens",
    "cost_per_1k_output_tokens",
    "cost_per_1k_cached_input_tokens",
    "cost_per_1k_reasoning_tokens",
)
PROVIDER = {"description": "A provider's name; or a type: its usual one, made if there is none."}
ENDPOINT = {"description": "http or https; null = the provider's own."}
TIMEOUT = {"description": "Seconds; null = 30."}
TEMPERATURE = {"description": "Null = 0.7."}
MAX_STEPS = 50  # of one chain
MAX_BULK = 1000  # agents of one bulk edit


class StepFields(Schema):
    """The step form: one step of a chain as it is written. Only the sent fields change."""

    provider = Text(min_length=1, max_length=128, metadata=PROVIDER)
    provider_id = WholeNumber(low=1, high=MAX_ID)
    model_name = Text(min_length=1, max_length=256)
    endpoint = HttpUrl(allow_none=True, metadata=ENDPOINT)
    api_key = KeyText()
    timeout = WholeNumber(low=1, high=300, allow_none=True, metadata=TIMEOUT)
    temperature = Number(low=0, high=2, allow_none=True, metadata=TEMPERATURE)
    top_p = Number(low=0, high=1, allow_none=True)
    max_tokens = WholeNumber(low=1, high=128_000, allow_none=True)


class LLMConfigFields(StepFields):
    """A step of its own endpoint: prices, metadata and the switch as well."""

    enabled = Flag()
    metadata_ = JsonObject(data_key="metadata")
    cost_per_1k_input_tokens = Price(allow_none=True)
    cost_per_1k_output_tokens = Price(allow_none=True)
    cost_per_1k_cached_input_tokens = Price(allow_none=True)
    cost_per_1k_reasoning_tokens = Price(allow_none=True)


class LLMConfigIn(LLMConfigFields):
    """What appends a step; the fallback pair is shorthand for a second one."""

    fallback_provider = Text(min_length=1, max_length=128, load_default=None)
    fallback_model = Text(min_length=1, max_length=256, load_default=None)


class LLMConfigItem(ReadBack, LLMConfigFields):
    """One step of a chain that is replaced as a whole; ``id`` says which one it was before.

    Its place in the list is its position, and the step behind it its fallback.
    """

    only_read = frozenset(
        {"position", "provider_name", "api_key_set", "fallback_provider", "fallback_model"}
    )

    id = WholeNumber(low=1, allow_none=True)


class ChainIn(ReadBack):
    """What replaces a chain."""

    only_read = frozenset({"total", "warnings"})

    llm_configs = fields.List(
        fields.Nested(LLMConfigItem), required=True, validate=validate.Length(max=MAX_STEPS)
    )


class BulkIn(Schema):
    """Row A11."""

    agent_ids = fields.List(Slug(), required=True, validate=validate.Length(1, MAX_BULK))
    config = fields.Nested(LLMConfigFields, required=True)


class BulkOut(Schema):
    """Whose step 0 was replaced."""

    agent_ids = fields.List(fields.String())
    total = fields.Integer()
    warnings = fields.List(fields.String())


class LLMConfigOut(LLMConfigFields):
    """A step as it is read."""

    id = fields.Integer()
    position = fields.Integer()
    provider_name = fields.String()
    api_key_set = fields.Boolean()
    fallback_provider = fields.String(allow_none=True)
    fallback_model = fields.String(allow_none=True)


class LLMConfigList(Schema):
    """An agent's chain."""

    llm_configs = fields.List(fields.Nested(LLMConfigOut))
    total = fields.Integer()


def dump_chain(agent: Agent) -> list[dict[str, Any]]:
    """Row A10: the steps, each naming the next enabled one as its fallback."""
    return [dump_step(step) for step in agent.llm_configs]


def dump_step(step: LLMConfig) -> dict[str, Any]:
    """One step in the step form."""
    later = (s for s in step.agent.llm_configs if s.position > step.position and s.enabled)
    fallback = next(later, None)
    return {
        "id": step.id,
        "position": step.position,
        "provider": step.provider.type,
        "provider_id": step.provider_id,
        "provider_name": step.provider.name,
        "endpoint": step.endpoint,
        "api_key_set": step.api_key_set,
        **dump_parameters(step),
        "enabled": step.enabled,
        "metadata": step.metadata_,
        **dump_prices(step),
        "fallback_provider": fallback.provider.type if fallback else None,
        "fallback_model": fallback.model_name if fallback else None,
    }


def dump_parameters(step: LLMConfig) -> dict[str, Any]:
    """What a call is made with, but for provider, endpoint and key."""
    names = ("model_name", "timeout", "temperature", "top_p", "max_tokens")
    return {name: getattr(step, name) for name in names}


def dump_prices(step: LLMConfig) -> dict[str, str | None]:
    """A step's own prices as decimal strings; null = the next price source."""
    amounts = {name: getattr(step, name) for name in PRICES}
    return {name: None if a is None else format(a, "f") for name, a in amounts.items()}
