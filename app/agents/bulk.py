"""Many agents at once, all or nothing, each as it was when somebody chose it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from app.agents.chain import lock_agents, write_primary
from app.agents.models import Agent, LLMConfig
from app.agents.resolution import effective_endpoint, target_of
from app.agents.services import change_agent, lock_defaults
from app.core.crypto import origin_of
from app.core.db import commit
from app.core.errors import Invalid, NotFound, Stale
from app.core.versions import check_version
from app.providers.models import Capability, Provider
from app.providers.services import get_provider, schedule_check

PARAMETERS = ("model_name", "temperature", "top_p", "max_tokens", "timeout")


class Difference(NamedTuple):
    """One field of a step 0 that would change."""

    name: str
    before: str
    after: str


def set_active(agent_ids: Iterable[str], is_active: bool) -> list[Agent]:
    """Switch agents on or off. Raises NotFound, BadRequest for the global default."""
    slugs = list(agent_ids)
    lock_defaults({"is_active": is_active}, *slugs)
    agents = lock_agents(slugs)
    for agent in agents:
        change_agent(agent, {"is_active": is_active})
    commit()
    return agents


def validate_providers(agents: Iterable[Agent]) -> list[str]:
    """Ask for a check of every provider that these agents use. Returns the providers' names."""
    ids = {part.provider_id for agent in agents for part in _parts(agent)}
    providers = [get_provider(provider_id, for_update=True) for provider_id in sorted(ids)]
    for provider in providers:
        schedule_check(provider)
    commit()
    return sorted(provider.name for provider in providers)


def preview_primaries(agents: Iterable[Agent], data: dict[str, Any]) -> list[list[Difference]]:
    """What ``update_primaries`` would change of each agent's step 0; changes nothing.

    Raises NotFound.
    """
    provider = _llm_provider(data)
    return [_differences(agent, data, provider) for agent in agents]


def update_primaries(
    versions: Mapping[str, int], data: dict[str, Any]
) -> tuple[list[Agent], list[str]]:
    """Change step 0 of these agents in place; the fallbacks stay, and what is not sent.

    ``versions`` are the agents' slugs, each with the version that it was chosen at. Returns the
    agents with warnings. Raises NotFound, Invalid, and Stale naming the agent.
    """
    _llm_provider(data)
    agents = lock_agents(versions)
    warnings: list[str] = []
    for agent in agents:
        try:
            check_version(agent.version, versions[agent.agent_id])
        except Stale:
            raise Stale(f"Somebody else saved {agent.name} in the meantime: look again.") from None
        warnings += write_primary(agent, data, {})
    commit()
    return agents, list(dict.fromkeys(warnings))


def _parts(agent: Agent) -> list[Any]:
    return [*agent.llm_configs, *agent.speech_configs]


def _llm_provider(data: dict[str, Any]) -> Provider:
    try:
        provider = get_provider(data["provider_id"])
    except NotFound:
        raise Invalid.field("provider_id", "There is no such provider.") from None
    if provider.capability is not Capability.LLM:
        raise Invalid.field("provider_id", "It is no LLM provider.")
    return provider


def _differences(agent: Agent, data: dict[str, Any], provider: Provider) -> list[Difference]:
    step = agent.llm_configs[0] if agent.llm_configs else None
    before = _shown(step)
    after = before | {name: str(data[name]) for name in PARAMETERS if name in data}
    after["provider"] = provider.name
    if step is None or step.provider is not provider:
        after["endpoint"] = provider.base_url
    if step is not None and target_of(step) != (provider.id, origin_of(after["endpoint"])):
        after["own key"] = "none"
    return [Difference(k, before[k], after[k]) for k in before if before[k] != after[k]]


def _shown(step: LLMConfig | None) -> dict[str, str]:
    """A step 0 in words; of an agent without chain every word is empty."""
    names = ("provider", "model_name", "endpoint", "own key", *PARAMETERS[1:])
    if step is None:
        return dict.fromkeys(names, "")
    words = {
        "provider": step.provider.name,
        "endpoint": effective_endpoint(step),
        "own key": "set" if step.api_key_set else "none",
    }
    values = {name: getattr(step, name) for name in PARAMETERS}
    words |= {name: "" if value is None else str(value) for name, value in values.items()}
    return {name: words[name] for name in names}
