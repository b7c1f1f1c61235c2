"""Between the server's JSON (`llm_*`) and `AgentConfig`. The one place that knows both spellings.

Unknown fields are ignored: servers may be newer than their clients.
"""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from sys import intern
from typing import Any

from ._frozen import freeze
from ._models import AgentConfig, LLMStep, Prices
from ._secret import Secret

Json = Mapping[str, Any]


class Malformed(ValueError):
    """JSON of the wrong shape. Names the field, never its value: that may be a key."""


def decode_config(data: object, *, requested: str, rev: int | None = None) -> AgentConfig:
    """An `AgentConfig` from A8's JSON, as S1 and the socket carry it too.

    `rev` overrides the one inside: an item of a batch is as new as its batch.
    """
    source = require_object(data, "config")
    steps = source.get("fallbacks") or []
    if not isinstance(steps, list):
        raise Malformed("fallbacks: not a list")
    agent_id = text(source, "agent_id")
    return AgentConfig(
        **_step(source),
        agent_id=requested if agent_id == requested else agent_id,
        requested_agent_id=requested,
        source=intern(optional_text(source, "source") or "agent"),
        is_default=source.get("is_default") is True,
        fallbacks=tuple(LLMStep(**_step(require_object(item, "fallbacks"))) for item in steps),
        halted=source.get("halted") is True,
        halted_reason=optional_text(source, "halted_reason"),
        budget_state=intern(optional_text(source, "budget_state") or "ok"),
        version=integer(source, "version", 0),
        config_version=integer(source, "config_version", 0),
        rev=integer(source, "rev", 0) if rev is None else rev,
    )


def _step(data: Json) -> dict[str, Any]:
    """The keyword arguments of one step. Repeated strings are shared between configs."""
    key = optional_text(data, "llm_api_key")
    return {
        "provider": intern(text(data, "llm_provider")),
        "provider_name": _shared(optional_text(data, "llm_provider_name")),
        "model": intern(text(data, "llm_model")),
        "endpoint": _shared(optional_text(data, "llm_endpoint")),
        "api_key": None if key is None else Secret(key),
        "api_key_id": _shared(optional_text(data, "llm_api_key_id")),
        "timeout": _number(data, "llm_timeout", 30),
        "temperature": _number(data, "llm_temperature", None),
        "top_p": _number(data, "llm_top_p", None),
        "max_tokens": _number(data, "llm_max_tokens", None),
        "metadata": freeze(require_object(data.get("metadata") or {}, "metadata")),
        "prices": _prices(require_object(data.get("prices") or {}, "prices")),
        "provider_status": intern(optional_text(data, "provider_status") or "pending"),
        "provider_budget_state": intern(optional_text(data, "provider_budget_state") or "ok"),
    }


def encode_config(config: AgentConfig) -> dict[str, Any]:
    """A8's JSON again, keys in clear: only for the encrypted disk snapshot."""
    return {
        **_encode_step(config),
        "agent_id": config.agent_id,
        "requested_agent_id": config.requested_agent_id,
        "source": config.source,
        "is_default": config.is_default,
        "fallbacks": [_encode_step(step) for step in config.fallbacks],
        "halted": config.halted,
        "halted_reason": config.halted_reason,
        "budget_state": config.budget_state,
        "version": config.version,
        "config_version": config.config_version,
        "rev": config.rev,
    }


def _encode_step(step: LLMStep) -> dict[str, Any]:
    return {
        "llm_provider": step.provider,
        "llm_provider_name": step.provider_name,
        "llm_model": step.model,
        "llm_endpoint": step.endpoint,
        "llm_api_key": None if step.api_key is None else step.api_key.get_secret_value(),
        "llm_api_key_id": step.api_key_id,
        "llm_timeout": step.timeout,
        "llm_temperature": step.temperature,
        "llm_top_p": step.top_p,
        "llm_max_tokens": step.max_tokens,
        "metadata": step.metadata,
        "prices": step.prices.to_dict(),
        "provider_status": step.provider_status,
        "provider_budget_state": step.provider_budget_state,
    }


def require_object(data: object, name: str) -> Json:
    if not isinstance(data, dict):
        raise Malformed(f"{name}: not an object")
    return data


def text(data: Json, name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name}: not a text")
    return value


def optional_text(data: Json, name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{name}: not a text")
    return value


def integer(data: Json, name: str, default: int | None = None) -> int:
    value = data.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(f"{name}: not an integer")
    return value


def _number(data: Json, name: str, default: float | None) -> float | None:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Malformed(f"{name}: not a number")
    return value


def _shared(value: str | None) -> str | None:
    return None if value is None else intern(value)


def _prices(data: Json) -> Prices:
    return _shared_prices(
        optional_text(data, "currency") or "USD",
        optional_text(data, "cost_per_1k_input_tokens"),
        optional_text(data, "cost_per_1k_output_tokens"),
        optional_text(data, "cost_per_1k_cached_input_tokens"),
        optional_text(data, "cost_per_1k_reasoning_tokens"),
    )


@lru_cache(maxsize=1024)  # thousands of agents share a handful of price lists
def _shared_prices(currency: str, *rates: str | None) -> Prices:
    paid, produced, cached, reasoning = (_decimal(rate) for rate in rates)
    return Prices(
        currency=currency,
        cost_per_1k_input_tokens=paid,
        cost_per_1k_output_tokens=produced,
        cost_per_1k_cached_input_tokens=cached,
        cost_per_1k_reasoning_tokens=reasoning,
    )


def _decimal(value: str | None) -> Decimal | None:
    if value is None:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Malformed("prices: not a decimal") from None
    if not number.is_finite() or number < 0:
        raise Malformed("prices: not a price")
    return number
