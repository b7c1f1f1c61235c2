"""What a fresh Switchyard starts with (row H6). Idempotent, also for two at once."""

import logging
from typing import Any

import sqlalchemy as sa
from flask import current_app

from app.agents import chain
from app.agents import services as agents
from app.agents.models import Agent
from app.core.addresses import check_url_syntax
from app.core.db import commit, db, lock
from app.providers import services as providers
from app.providers.adapters import Adapter, find_adapter, list_types
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

log = logging.getLogger(__name__)


def seed() -> list[str]:
    """Make the default agent, and the development agent where the environment describes one.

    Returns what was made, for people. Whatever exists is left alone, and an environment that does
    not describe a development agent well is only warned of: its variables may be another program's.
    Commits.
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
    if _exists(DEVELOPMENT_AGENT["agent_id"]):
        return []
    try:
        adapters = {kind: _adapter(kind) for kind in Capability if _of(kind, "PROVIDER")}
    except SettingsError as error:
        log.warning("no %s is made: %s", DEVELOPMENT_AGENT["name"], error)
        return []
    if not adapters:
        return []
    described: dict[str, Any] = dict(DEVELOPMENT_AGENT)
    for kind, adapter in adapters.items():
        described[f"{kind}_provider_config"] = _provider_config(kind, adapter)
    # Without a model it answers nobody.
    becomes_default = Capability.LLM in adapters and _default_is_untouched()
    agents.add_agent({**described, "is_default": becomes_default})
    return ["agent development-agent"]


def _adapter(kind: Capability) -> Adapter:
    """What the environment names for one kind. Raises SettingsError where it will not do."""
    adapter = find_adapter(_of(kind, "PROVIDER") or "", kind)
    if adapter is None:
        allowed = ", ".join(list_types(kind))
        raise SettingsError(f"{kind.upper()}_PROVIDER: no such type; set it to one of {allowed}.")
    if reason := _url_problem(kind, adapter):
        raise SettingsError(f"{kind.upper()}_API_URL: {reason}")
    if kind is Capability.LLM and not _model(kind, adapter):
        raise SettingsError("LLM_MODEL: LLM_PROVIDER is set, so name the model too.")
    return adapter


def _url_problem(kind: Capability, adapter: Adapter) -> str | None:
    url = _of(kind, "API_URL")
    if not url:
        return None
    declared = (setting for setting in adapter.settings if setting.name == URL_FIELD[kind])
    setting = next(declared, None)
    return setting.problem(url) if setting else check_url_syntax(url)


def _provider_config(kind: Capability, adapter: Adapter) -> dict[str, Any]:
    """One kind's part of the agent, on a provider that keeps the key and the endpoint."""
    key, url = _of(kind, "API_KEY"), _of(kind, "API_URL")
    # Others may use the provider already: what is special to this agent stays with the agent.
    own: dict[str, Any] = {"api_key": key, URL_FIELD[kind]: url}
    provider = providers.find_of_type(adapter.type, kind)
    if provider is None:
        name = adapter.type if kind is Capability.LLM else f"{adapter.type}-{kind}"
        body: dict[str, Any] = {"name": name, "type": adapter.type, "capability": kind}
        if not url or check_url_syntax(url) is None:  # else it is a WebSocket's: an agent's only
            body |= {"base_url": url, "api_key": key}
            own = {}
        provider = providers.add_provider(body)
    own |= {MODEL_FIELD[kind]: _model(kind, adapter)}
    return {"provider_id": provider.id} | {name: text for name, text in own.items() if text}


def _model(kind: Capability, adapter: Adapter) -> str | None:
    return _of(kind, "MODEL") or adapter.usual_model


def _default_is_untouched() -> bool:
    """Whether the global default is still the seed's own, as it was made."""
    default = agents.find_default(None)
    return default is not None and (default.agent_id, default.version) == ("default", 1)


def _exists(agent_id: str) -> bool:
    query = sa.select(Agent.id).where(Agent.agent_id == agent_id)
    return db.session.scalar(query) is not None


def _of(kind: Capability, name: str) -> str | None:
    """A setting of one kind, e.g. ``LLM_PROVIDER``."""
    value: str | None = current_app.config[f"{kind.upper()}_{name}"]
    return value
