"""TradingAgents: its config dict, from a step of an agent's chain.

for attempt in client.attempts("analyst"):
    with attempt:
        with trading_agents_config(attempt) as config:
            graph = TradingAgentsGraph(config=DEFAULT_CONFIG | config)
        state, decision = graph.propagate("NVDA", "2026-01-15")
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from .._attempts import Attempt
from .._errors import ConfigurationError
from .._models import AgentConfig, LLMStep
from .._sdk import anthropic_arguments, openai_arguments
from ._anthropic import anthropic_parameters

__all__ = ["trading_agents_config"]

# What it calls otherwise than Switchyard, and where its clients look for a key.
PROVIDERS = {"grok": "xai", "vllm": "openai_compatible"}
KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "google": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openai_compatible": "OPENAI_COMPATIBLE_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "xai": "XAI_API_KEY",
}

_environment = threading.RLock()  # it is the whole process', and so is a key in it


@contextmanager
def trading_agents_config(
    attempt: Attempt, deep: AgentConfig | None = None
) -> Iterator[dict[str, Any]]:
    """What goes over `DEFAULT_CONFIG`: `llm_provider`, both models, `backend_url`, `temperature`.

    TradingAgents takes keys from environment variables alone, and reads them when a graph is made:
    make it inside of the block. Afterwards the environment is as it was, and the graph may run. Two
    threads do this one after the other. What is not set is left out.

    Args:
        attempt: its step is for quick thinking, and for deep thinking too unless `deep` is given.
        deep: the configuration whose chain has the model for deep thinking, e.g.
            `client.get_agent_config("research-manager")`: the first step with the same provider,
            endpoint and key, for TradingAgents has one of each.

    Raises ConfigurationError where there is none.
    """
    quick = attempt.step
    config = {
        "llm_provider": PROVIDERS.get(quick.provider, quick.provider),
        "quick_think_llm": quick.model,
        "deep_think_llm": quick.model if deep is None else _beside(quick, deep).model,
        "backend_url": _backend_url(quick),
        "temperature": _temperature(quick),
    }
    with _environment, _key_in_environment(quick):
        yield {name: value for name, value in config.items() if value is not None}


@contextmanager
def _key_in_environment(step: LLMStep) -> Iterator[None]:
    name = KEYS.get(PROVIDERS.get(step.provider, step.provider))
    # A placeholder where there is no key keeps the environment's own from a foreign endpoint.
    key = _arguments(step).get("api_key")
    if name is None or key is None:
        yield
        return
    before = os.environ.get(name)
    os.environ[name] = key
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _beside(quick: LLMStep, deep: AgentConfig) -> LLMStep:
    for step in deep.steps:
        same = (step.provider, step.endpoint) == (quick.provider, quick.endpoint)
        if same and step.api_key == quick.api_key:
            return step
    raise ConfigurationError(
        f"agent {deep.requested_agent_id} has no step at {quick.endpoint} with the same key:"
        " TradingAgents has one provider for both"
    )


def _backend_url(step: LLMStep) -> str | None:
    url: str | None = _arguments(step).get("base_url")
    if url is not None and step.provider == "google":
        parts = urlsplit(url)  # its client adds the version itself
        return f"{parts.scheme}://{parts.netloc}"
    return url


def _temperature(step: LLMStep) -> float | None:
    """What the provider still takes: Anthropic none any more."""
    if step.provider != "anthropic":
        return step.temperature
    temperature: float | None = anthropic_parameters(step).get("temperature")
    return temperature


def _arguments(step: LLMStep) -> dict[str, Any]:
    if step.provider == "anthropic":
        return anthropic_arguments(step, step.timeout)
    return openai_arguments(step, step.timeout)
