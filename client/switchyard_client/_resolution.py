"""What answers when the server cannot: the tail of the chain, without any I/O.

agent -> default agent (both the server's word) -> last known good -> environment -> built in
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ._log import logger
from ._models import AgentConfig
from ._secret import Secret

ALIASES = {"claude": "anthropic", "xai": "grok", "groq.com": "groq"}
USUAL_ENDPOINTS = {
    "anthropic": "https://api.anthropic.com/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "grok": "https://api.x.ai/v1",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "ollama": "http://127.0.0.1:11434",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "vllm": "http://127.0.0.1:8000/v1",
}
BUILT_IN_PROVIDER, BUILT_IN_MODEL = "ollama", "mistral:7b-instruct"


def default_of(agent_id: str, configs: Iterable[AgentConfig]) -> AgentConfig | None:
    """The global default agent among the server's configs, answering for `agent_id`."""
    found = next((config for config in configs if config.is_default), None)
    return found and replace(found, requested_agent_id=agent_id, source="default")


def from_disk(agent_id: str, configs: Mapping[str, AgentConfig]) -> AgentConfig | None:
    """The last known good config of an agent, or of the default agent in its place."""
    found = configs.get(agent_id) or default_of(agent_id, configs.values())
    return found and replace(found, source="snapshot")


def from_environment(
    agent_id: str, environ: Mapping[str, str], prefix: str = "SWITCHYARD_LLM_"
) -> AgentConfig | None:
    """The config of `<prefix>PROVIDER`, `ENDPOINT`, `MODEL`, ...; None if none of these is set."""
    values = _Values(environ, prefix)
    if not any(values.text(name) for name in ("PROVIDER", "ENDPOINT", "MODEL")):
        return None
    named = (values.text("PROVIDER") or BUILT_IN_PROVIDER).lower()
    provider = ALIASES.get(named, named)
    key = values.text("API_KEY")
    max_tokens = values.number("MAX_TOKENS", 1, 128_000)
    return AgentConfig(
        # Nobody knows this agent here; its usage counts for the default one.
        agent_id="default",
        requested_agent_id=agent_id,
        source="environment",
        provider=provider,
        model=values.text("MODEL") or BUILT_IN_MODEL,
        endpoint=values.text("ENDPOINT") or USUAL_ENDPOINTS.get(provider),
        api_key=Secret(key) if key else None,
        timeout=values.number("TIMEOUT", 1, 300) or 30,
        temperature=values.number("TEMPERATURE", 0, 2, default=0.7),
        max_tokens=None if max_tokens is None else int(max_tokens),
    )


def built_in(agent_id: str) -> AgentConfig:
    """The last resort: a local Ollama, which needs no key."""
    return AgentConfig(
        agent_id="default",
        requested_agent_id=agent_id,
        source="built_in",
        provider=BUILT_IN_PROVIDER,
        model=BUILT_IN_MODEL,
        endpoint=USUAL_ENDPOINTS[BUILT_IN_PROVIDER],
    )


class _Values:
    """Environment variables under one prefix; a bad one is named once per read and skipped."""

    def __init__(self, environ: Mapping[str, str], prefix: str) -> None:
        self._environ = environ
        self._prefix = prefix

    def text(self, name: str) -> str | None:
        return self._environ.get(self._prefix + name, "").strip() or None

    def number(
        self, name: str, low: float, high: float, default: float | None = None
    ) -> float | None:
        value = self.text(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if low <= number <= high:  # false for NaN
            return int(number) if number.is_integer() else number
        logger.warning("%s%s is ignored: not from %s to %s", self._prefix, name, low, high)
        return default
