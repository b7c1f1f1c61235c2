"""Writing an agent's chain: step 0 in place, further steps behind it."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from app.agents.models import Agent, LLMConfig
from app.agents.provider_choice import choose_provider
from app.agents.resolution import target_of
from app.agents.spelling import spelled
from app.core.crypto import Secret
from app.core.db import commit, db, flush
from app.core.errors import Invalid, NotFound
from app.core.versions import check_version
from app.prices.services import doubt_step_prices

CLEARED_TO = {"timeout": 30, "temperature": 0.7, "top_p": None, "max_tokens": None}
PLAIN_FIELDS = (
    "model_name",
    "enabled",
    "metadata_",
    "cost_per_1k_input_tokens",
    "cost_per_1k_output_tokens",
    "cost_per_1k_cached_input_tokens",
    "cost_per_1k_reasoning_tokens",
)


def get_agent(agent_id: str, *, for_update: bool = False) -> Agent:
    """The agent with this slug. Raises NotFound."""
    query = sa.select(Agent).where(Agent.agent_id == agent_id)
    if for_update:  # and read again, where it was read before it was locked
        query = query.with_for_update().execution_options(populate_existing=True)
    agent = db.session.scalar(query)
    if agent is None:
        raise NotFound(f"There is no agent '{agent_id[:64]}'.")
    return agent


def lock_agents(agent_ids: Collection[str]) -> list[Agent]:
    """These agents by slug, each once. Raises NotFound.

    Locked by id, as every write of several agents takes them: two of them never cross.
    """
    query = sa.select(Agent).where(Agent.agent_id.in_(agent_ids)).order_by(Agent.id)
    locked = query.with_for_update().execution_options(populate_existing=True)
    found = {agent.agent_id: agent for agent in db.session.scalars(locked)}
    for agent_id in agent_ids:
        if agent_id not in found:
            raise NotFound(f"There is no agent '{agent_id[:64]}'.")
    return [found[agent_id] for agent_id in sorted(found)]


def write_primary(agent: Agent, data: dict[str, Any], sent_as: dict[str, str]) -> list[str]:
    """Change step 0 in place, or make it; the fallbacks stay. Returns warnings."""
    if not data:
        return []
    if agent.llm_configs:
        return _write(agent.llm_configs[0], data, sent_as)
    return add_step(agent, data, sent_as)[1]


def append_step(
    agent_id: str, data: dict[str, Any], expected_version: int | None = None
) -> tuple[LLMConfig, list[str]]:
    """Put a step at the end of the chain, and a second one for the fallback shorthand.

    Returns the first with warnings. Raises NotFound, Stale, Invalid.
    """
    data = dict(data)
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    provider, model = data.pop("fallback_provider", None), data.pop("fallback_model", None)
    if (provider is None) != (model is None):
        missing = "fallback_provider" if provider is None else "fallback_model"
        raise Invalid.field(missing, "Send both of fallback_provider and fallback_model.")
    step, warnings = add_step(agent, data, {})
    if provider is not None:
        warnings += add_step(agent, {"provider": provider, "model_name": model}, {})[1]
    commit()
    return step, warnings


def update_step(
    agent_id: str, config_id: int, data: dict[str, Any], expected_version: int | None = None
) -> tuple[LLMConfig, list[str]]:
    """Change the sent fields of one step. Returns it with warnings.

    Raises NotFound, Stale, Invalid.
    """
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    step = get_step(agent, config_id)
    warnings = _write(step, data, {})
    commit()
    return step, warnings


def delete_step(agent_id: str, config_id: int, expected_version: int | None = None) -> Agent:
    """Remove one step; those behind it move up. Raises NotFound, Stale."""
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    gone = get_step(agent, config_id)
    write_chain(agent, [{"id": step.id} for step in agent.llm_configs if step is not gone])
    commit()
    return agent


def replace_primaries(agent_ids: list[str], data: dict[str, Any]) -> tuple[list[Agent], list[str]]:
    """Put a new step 0 into each agent's chain, all or nothing; the fallbacks stay.

    Returns the agents with warnings. Raises NotFound, Invalid.
    """
    agents = lock_agents(agent_ids)
    warnings: list[str] = []
    for agent in agents:
        fallbacks = [{"id": step.id} for step in agent.llm_configs[1:]]
        try:
            warnings += write_chain(agent, [data, *fallbacks])
        except Invalid as error:
            named = {name.replace("llm_configs.0", "config"): t for name, t in error.errors.items()}
            raise Invalid(named) from None
    commit()
    return agents, list(dict.fromkeys(warnings))


def get_step(agent: Agent, config_id: int) -> LLMConfig:
    """The agent's step with this id. Raises NotFound."""
    step = next((step for step in agent.llm_configs if step.id == config_id), None)
    if step is None:
        raise NotFound(f"The agent '{agent.agent_id}' has no such LLM config.")
    return step


def replace_chain(
    agent_id: str, items: list[dict[str, Any]], expected_version: int | None = None
) -> tuple[Agent, list[str]]:
    """Make the chain exactly ``items``, in their order, all or nothing. Returns it with warnings.

    An item with the ``id`` of a step changes that step, which keeps what is not sent, its key too.
    Raises NotFound, Stale, Invalid naming ``llm_configs.<index>.<field>``.
    """
    agent = get_agent(agent_id, for_update=True)
    check_version(agent.version, expected_version)
    warnings = write_chain(agent, items)
    commit()
    return agent, warnings


def write_chain(agent: Agent, items: list[dict[str, Any]]) -> list[str]:
    """The same within a larger transaction: flushed, not committed."""
    kept = _kept_steps(agent, items)
    if agent.llm_configs:
        _make_room(agent, kept)
    warnings: list[str] = []
    for position, item in enumerate(items):
        try:
            step, found = _place(agent, kept.get(position), item)
        except Invalid as error:
            named = {f"llm_configs.{position}.{name}": text for name, text in error.errors.items()}
            raise Invalid(named) from None
        step.position = position
        warnings += found
    flush()
    return warnings


def _make_room(agent: Agent, kept: dict[int, LLMConfig]) -> None:
    """Take out the steps that go, and move those that stay out of each other's way."""
    for step in agent.llm_configs:
        if step not in kept.values():
            db.session.delete(step)
    flush()  # before another step takes a freed position
    db.session.expire(agent, ["llm_configs"])
    if any(step.position != position for position, step in kept.items()):
        # Aside first: two steps may not stand at one position, not even for a moment.
        for number, step in enumerate(kept.values()):
            step.position = -1 - number
        flush()


def _kept_steps(agent: Agent, items: list[dict[str, Any]]) -> dict[int, LLMConfig]:
    """The steps that stay, by their new position."""
    by_id = {step.id: step for step in agent.llm_configs}
    kept: dict[int, LLMConfig] = {}
    for position, item in enumerate(items):
        if (step_id := item.get("id")) is None:
            continue
        if step_id not in by_id:
            message = "The agent has no such step, or it stands in the list twice."
            raise Invalid.field(f"llm_configs.{position}.id", message)
        kept[position] = by_id.pop(step_id)
    return kept


def _place(
    agent: Agent, step: LLMConfig | None, item: dict[str, Any]
) -> tuple[LLMConfig, list[str]]:
    data = {name: value for name, value in item.items() if name != "id"}
    if step is None:
        return add_step(agent, data, {})
    return step, _write(step, data, {})


def add_step(
    agent: Agent, data: dict[str, Any], sent_as: dict[str, str]
) -> tuple[LLMConfig, list[str]]:
    """Build and add one step, uncommitted. Raises Invalid where provider or model is missing."""
    missing = [name for name in ("provider", "model_name") if not _given(data, name)]
    if missing:
        errors = {spelled(name, sent_as): ["Missing data for required field."] for name in missing}
        raise Invalid(errors)
    provider = choose_provider(data, sent_as)
    last = max((step.position for step in agent.llm_configs), default=-1)
    step = LLMConfig(
        position=last + 1,
        provider=provider,
        provider_id=provider.id,
        model_name=data["model_name"],
        metadata_={},
    )
    agent.llm_configs.append(step)
    return step, _write(step, data, sent_as)


def _given(data: dict[str, Any], name: str) -> bool:
    return bool(data.get(name) or (name == "provider" and data.get("provider_id")))


def _write(step: LLMConfig, data: dict[str, Any], sent_as: dict[str, str]) -> list[str]:
    _write_target(step, data, sent_as)
    for name in PLAIN_FIELDS:
        if name in data and getattr(step, name) != data[name]:
            setattr(step, name, data[name])
    for name, cleared in CLEARED_TO.items():
        if name in data:
            value = cleared if data[name] is None else data[name]
            if getattr(step, name) != value:
                setattr(step, name, value)
    if "completions_path" in data:
        given = {"completions_path": data["completions_path"]} if data["completions_path"] else {}
        rest = {k: v for k, v in step.metadata_.items() if k != "completions_path"}
        step.metadata_ = rest | given
    return _warnings(step)


def _write_target(step: LLMConfig, data: dict[str, Any], sent_as: dict[str, str]) -> None:
    """Provider, endpoint and key together: a key never follows a step to another origin."""
    before = target_of(step)
    if "provider" in data or "provider_id" in data:
        provider = choose_provider(data, sent_as, kept=step.provider)
        if provider is not step.provider:
            step.provider, step.provider_id = provider, provider.id
            step.endpoint = None
    if "endpoint" in data:
        override = data["endpoint"]
        step.endpoint = None if override == step.provider.base_url else override
    if "api_key" in data:
        step.set_api_key(Secret(data["api_key"]) if data["api_key"] else None)
    elif target_of(step) != before and step.api_key_set:
        step.set_api_key(None)


def _warnings(step: LLMConfig) -> list[str]:
    warnings = doubt_step_prices(step)
    models = step.provider.models
    if models is not None and step.model_name not in models:
        warnings.append(f"{step.provider.name} does not list the model '{step.model_name}'.")
    return warnings
