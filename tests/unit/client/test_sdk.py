"""Keyword arguments for the SDKs."""

import pytest
from switchyard_client import LLMStep, Secret
from switchyard_client._sdk import (
    NO_KEY,
    anthropic_arguments,
    litellm_arguments,
    openai_arguments,
    parameters,
)


def step(
    provider: str, endpoint: str | None, key: str | None = "sk-1", **values: object
) -> LLMStep:
    secret = Secret(key) if key else None
    return LLMStep(provider=provider, endpoint=endpoint, model="m", api_key=secret, **values)


def test_openai_with_everything() -> None:
    assert openai_arguments(step("openai", "https://api.openai.com/v1"), 12) == {
        "base_url": "https://api.openai.com/v1",
        "api_key": "sk-1",
        "timeout": 12,
        "max_retries": 0,
    }


@pytest.mark.parametrize(
    ("provider", "endpoint", "expected"),
    [
        ("ollama", "http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("ollama", "http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
        ("ollama", "http://gpu/v1", "http://gpu/v1"),
        ("ollama", "http://gpu/ollama/v1", "http://gpu/ollama/v1"),
        ("groq", "https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1"),
        ("google", "https://g.example/v1beta", "https://g.example/v1beta/openai/"),
        ("google", "https://g.example/v1beta/openai/", "https://g.example/v1beta/openai"),
    ],
)
def test_where_openai_clients_are_sent(provider: str, endpoint: str, expected: str) -> None:
    assert openai_arguments(step(provider, endpoint), 1)["base_url"] == expected


def test_nulls_are_left_out() -> None:
    bare = step("openai", None, None, temperature=None)
    assert openai_arguments(bare, 1).keys() == {"api_key", "timeout", "max_retries"}
    assert parameters(bare) == {}


def test_the_key_of_the_environment_stays_at_home() -> None:
    """An SDK without a key takes the one from its environment, for whatever endpoint."""
    usual = step("openai", "https://api.openai.com/v1", None)
    assert "api_key" not in openai_arguments(usual, 1)
    elsewhere = step("openai", "https://proxy.example/v1", None)
    assert openai_arguments(elsewhere, 1)["api_key"] == NO_KEY
    local = step("ollama", "http://127.0.0.1:11434", None)
    assert openai_arguments(local, 1)["api_key"] == NO_KEY
    assert anthropic_arguments(local, 1)["api_key"] == NO_KEY
    claude = step("anthropic", "https://api.anthropic.com/v1", None)
    assert "api_key" not in anthropic_arguments(claude, 1)
    assert litellm_arguments(elsewhere, 1)["api_key"] == NO_KEY


@pytest.mark.parametrize(
    "endpoint", ["https://api.anthropic.com/v1", "https://api.anthropic.com/v1/"]
)
def test_anthropic_adds_the_version_itself(endpoint: str) -> None:
    arguments = anthropic_arguments(step("anthropic", endpoint), 1)
    assert arguments["base_url"] == "https://api.anthropic.com"


def test_litellm_has_the_model_and_its_parameters() -> None:
    full = step("vllm", "http://gpu:8000/v1", temperature=0.1, top_p=0.5, max_tokens=9)
    assert litellm_arguments(full, 4) == {
        "model": "hosted_vllm/m",
        "api_base": "http://gpu:8000/v1",
        "api_key": "sk-1",
        "timeout": 4,
        "max_retries": 0,
        "num_retries": 0,
        "temperature": 0.1,
        "top_p": 0.5,
        "max_tokens": 9,
    }


@pytest.mark.parametrize(
    ("provider", "endpoint", "model", "base"),
    [
        ("openai", "https://api.openai.com/v1", "openai/m", "https://api.openai.com/v1"),
        ("anthropic", "https://api.anthropic.com/v1", "anthropic/m", "https://api.anthropic.com"),
        ("grok", "https://api.x.ai/v1", "xai/m", "https://api.x.ai/v1"),
        ("google", "https://generativelanguage.googleapis.com/v1beta", "gemini/m", None),
        ("openai_compatible", "http://gpu/v1", "openai/m", "http://gpu/v1"),
    ],
)
def test_litellms_names(provider: str, endpoint: str, model: str, base: str | None) -> None:
    arguments = litellm_arguments(step(provider, endpoint), 1)
    assert (arguments["model"], arguments.get("api_base")) == (model, base)
