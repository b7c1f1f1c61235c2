"""The tail of the chain: known default, disk, environment, built in."""

import logging
from typing import Any

import pytest
from switchyard_client import AgentConfig
from switchyard_client._resolution import built_in, default_of, from_disk, from_environment


def config(agent_id: str, **fields: Any) -> AgentConfig:
    return AgentConfig(
        agent_id=agent_id, requested_agent_id=agent_id, provider="openai", model="m", **fields
    )


def test_the_default_answers_for_another() -> None:
    found = default_of("x", [config("a"), config("d", is_default=True)])
    assert found is not None
    assert (found.agent_id, found.requested_agent_id, found.source) == ("d", "x", "default")
    assert default_of("x", [config("a")]) is None


def test_the_disk_has_the_agent_or_its_default() -> None:
    stored = {"a": config("a", halted=True), "d": config("d", is_default=True)}
    own, other = from_disk("a", stored), from_disk("x", stored)
    assert own is not None
    assert other is not None
    assert (own.agent_id, own.source, own.halted) == ("a", "snapshot", True)
    assert (other.agent_id, other.requested_agent_id, other.source) == ("d", "x", "snapshot")
    assert from_disk("x", {"a": config("a")}) is None


def environment(**values: str) -> AgentConfig | None:
    return from_environment("x", {f"SWITCHYARD_LLM_{name}": v for name, v in values.items()})


def test_an_environment_without_a_config_is_none() -> None:
    assert environment() is None
    assert environment(API_KEY="sk", TIMEOUT="5") is None
    assert environment(MODEL="  ") is None


def test_all_of_the_environment_is_used() -> None:
    found = environment(
        PROVIDER="OpenAI",
        ENDPOINT="https://llm.example/v1",
        MODEL="m",
        API_KEY="sk",
        TIMEOUT="45",
        TEMPERATURE="0.2",
        MAX_TOKENS="100",
    )
    assert found is not None
    assert (found.provider, found.endpoint, found.model) == (
        "openai",
        "https://llm.example/v1",
        "m",
    )
    assert (found.timeout, found.temperature, found.max_tokens) == (45, 0.2, 100)
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == "sk"
    assert (found.agent_id, found.requested_agent_id, found.source) == (
        "default",
        "x",
        "environment",
    )


def test_what_the_environment_leaves_open_is_filled_in() -> None:
    model_only = environment(MODEL="llama3")
    provider_only = environment(PROVIDER="claude")
    assert model_only is not None
    assert provider_only is not None
    assert (model_only.provider, model_only.endpoint) == ("ollama", "http://127.0.0.1:11434")
    assert (provider_only.provider, provider_only.endpoint) == (
        "anthropic",
        "https://api.anthropic.com/v1",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("TIMEOUT", "soon"), ("TIMEOUT", "0"), ("TEMPERATURE", "nan"), ("MAX_TOKENS", "1e9")],
)
def test_a_bad_value_is_named_and_skipped(
    caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    with caplog.at_level(logging.WARNING):
        found = environment(MODEL="m", **{name: value})
    assert found is not None
    assert (found.timeout, found.temperature, found.max_tokens) == (30, 0.7, None)
    assert f"SWITCHYARD_LLM_{name}" in caplog.text


def test_the_last_resort() -> None:
    found = built_in("x")
    assert (found.provider, found.endpoint, found.model, found.timeout, found.temperature) == (
        "ollama",
        "http://127.0.0.1:11434",
        "mistral:7b-instruct",
        30,
        0.7,
    )
    assert (found.agent_id, found.requested_agent_id, found.source) == ("default", "x", "built_in")
