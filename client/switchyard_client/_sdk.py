"""A step as the keyword arguments of the SDKs. What is null is left out: SDKs read None as set."""

from typing import Any
from urllib.parse import urlsplit

from ._models import LLMStep
from ._resolution import USUAL_ENDPOINTS

# An SDK without a key takes the one in its own environment variable, and would send it to
# whatever endpoint this is. A placeholder keeps it at home.
NO_KEY = "no-key"

LITELLM_PREFIXES = {
    "google": "gemini",
    "grok": "xai",
    "openai_compatible": "openai",
    "vllm": "hosted_vllm",
}


def openai_arguments(step: LLMStep, timeout: float) -> dict[str, Any]:
    """For `OpenAI(...)` and `AsyncOpenAI(...)`."""
    return _present(
        base_url=_openai_url(step),
        api_key=_key(step, "openai"),
        timeout=timeout,
        max_retries=0,  # the chain is the retry, and it does not sleep
    )


def anthropic_arguments(step: LLMStep, timeout: float) -> dict[str, Any]:
    """For `Anthropic(...)` and `AsyncAnthropic(...)`, which add `/v1` themselves."""
    return _present(
        base_url=_without_version(step.endpoint),
        api_key=_key(step, "anthropic"),
        timeout=timeout,
        max_retries=0,
    )


def litellm_arguments(step: LLMStep, timeout: float) -> dict[str, Any]:
    """For `litellm.completion(...)`: the model and its parameters are in it."""
    prefix = LITELLM_PREFIXES.get(step.provider, step.provider)
    return _present(
        model=f"{prefix}/{step.model}",
        api_base=_litellm_url(step),
        api_key=_key(step, step.provider),
        timeout=timeout,
        max_retries=0,
        num_retries=0,
        **parameters(step),
    )


def parameters(step: LLMStep) -> dict[str, Any]:
    """`temperature`, `top_p` and `max_tokens`, as far as they are set."""
    return _present(temperature=step.temperature, top_p=step.top_p, max_tokens=step.max_tokens)


def _present(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _key(step: LLMStep, at_home: str) -> str | None:
    if step.api_key is not None:
        return step.api_key.get_secret_value()
    own = step.provider == at_home and _origin(step.endpoint) == _origin(
        USUAL_ENDPOINTS.get(at_home)
    )
    return None if own else NO_KEY


def _origin(url: str | None) -> tuple[str, str]:
    parts = urlsplit(url or "")
    return parts.scheme, parts.netloc


def _openai_url(step: LLMStep) -> str | None:
    """Two providers speak OpenAI's language beside their own, under another path."""
    url = step.endpoint and step.endpoint.rstrip("/")
    if url and step.provider == "ollama" and not urlsplit(url).path:
        return f"{url}/v1"
    if url and step.provider == "google" and not url.endswith("/openai"):
        return f"{url}/openai/"
    return url


def _litellm_url(step: LLMStep) -> str | None:
    if step.provider == "anthropic":
        return _without_version(step.endpoint)
    if step.provider == "google" and _origin(step.endpoint) == _origin(USUAL_ENDPOINTS["google"]):
        return None  # it builds the path itself, and differently where it is told a base
    return step.endpoint


def _without_version(url: str | None) -> str | None:
    return url and url.rstrip("/").removesuffix("/v1")
