"""What a fresh Switchyard starts with (row H6). Idempotent, also for two at once."""

from typing import Any

import sqlalchemy as sa
from flask import current_app

from app.agents import chain
from app.agents import services as agents
from app.agents.models import Agent
from app.core.db import commit, db, lock
from app.providers import services as providers
from app.providers.adapters import find_adapter, list_types
from app.providers.models import Capability
from app.settings import SettingsError

DEFAULT_AGENT = {
    "agent_id": "default",
    "name": "Default Agent",
    "description": "Fallback agent for unconfigured requests",
    "llm_provider": "ollama",
    "llm_model": "mistral:7b-instruct",
}
DEVELOPMENT_AGENT = {
    "agent_id": "development-agent",
    "name": "Development Agent",
    "description": "Made from the environment's LLM_, TTS_ and STT_ variables",
}
URL_FIELD = {"llm": "api_url", "tts": "url", "stt": "url"}
MODEL_FIELD = {"llm": "model", "tts": "model_id", "stt": "model_id"}


def seed() -> list[str]:
    """Make the default agent, and the development agent where the environment describes one.

    Returns what was made, for people. Whatever exists is left alone. Commits.
    """
    lock("seed")
    agents.lock_defaults({"is_default": True})
    made = _seed_default() + _seed_development()
    commit()
    return made


def seed_missing_configs(provider: str, model: str) -> list[str]:
    """Give every agent without a chain this one step; skip those with one.

    Returns the agents that got it. Raises Invalid for an unknown provider.
    """
    lock("seed")
    without = sa.select(Agent).where(~Agent.llm_configs.any()).order_by(Agent.id)
    found = list(db.session.scalars(without.with_for_update()))
    for agent in found:
        chain.add_step(agent, {"provider": provider, "model_name": model}, {})
    commit()
    return [agent.agent_id for agent in found]


def _seed_default() -> list[str]:
    if agents.find_default(None) is not None or _exists(DEFAULT_AGENT["agent_id"]):
        # An agent of this name that is no default is somebody's decision.
        return []
    agents.add_agent({**DEFAULT_AGENT, "is_default": True})
    return ["agent default"]


def _seed_development() -> list[str]:
    if not _setting("LLM_PROVIDER") or _exists(DEVELOPMENT_AGENT["agent_id"]):
        return []
    described: dict[str, Any] = dict(DEVELOPMENT_AGENT)
    for kind in Capability:
        if _setting(f"{kind.upper()}_PROVIDER"):
            described[f"{kind}_provider_config"] = _provider_config(kind)
    agents.add_agent({**described, "is_default": _default_is_untouched()})
    return ["agent development-agent"]


def _provider_config(kind: Capability) -> dict[str, Any]:
    """One kind's part of the agent, on a provider that keeps the key and the endpoint."""
    prefix = kind.upper()
    key, url = _setting(f"{prefix}_API_KEY"), _setting(f"{prefix}_API_URL")
    adapter = find_adapter(_setting(f"{prefix}_PROVIDER") or "", kind)
    if adapter is None:
        allowed = ", ".join(list_types(kind))
        raise SettingsError(f"{prefix}_PROVIDER: no such type; set it to one of {allowed}.")
    if kind is Capability.LLM and not _setting("LLM_MODEL"):
        raise SettingsError("LLM_MODEL: LLM_PROVIDER is set, so name the model too.")
    provider = providers.find_of_type(adapter.type, kind)
    own: dict[str, Any] = {}
    if provider is None:
        name = adapter.type if kind is Capability.LLM else f"{adapter.type}-{kind}"
        body = {"name": name, "type": adapter.type, "capability": kind}
        provider = providers.add_provider({**body, "base_url": url, "api_key": key})
    else:
        # Others may use it already: what is special to this agent stays with the agent.
        own = {"api_key": key, URL_FIELD[kind]: url}
    own |= {MODEL_FIELD[kind]: _setting(f"{prefix}_MODEL")}
    return {"provider_id": provider.id} | {name: text for name, text in own.items() if text}


def _default_is_untouched() -> bool:
    """Whether the global default is still the seed's own, as it was made."""
    default = agents.find_default(None)
    return default is not None and (default.agent_id, default.version) == ("default", 1)


def _exists(agent_id: str) -> bool:
    query = sa.select(Agent.id).where(Agent.agent_id == agent_id)
    return db.session.scalar(query) is not None


def _setting(name: str) -> str | None:
    value: str | None = current_app.config[name]
    return value
