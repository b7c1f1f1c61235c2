"""Which steps of a chain are called at all: budgets, and what the caller can speak to."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from switchyard_client import (
    AllAttemptsFailed,
    AsyncSwitchyardClient,
    Attempt,
    BudgetBlocked,
    ConfigurationError,
    SwitchyardClient,
)
from switchyard_client._wire import decode_config, encode_config
from switchyard_client.testing import TestData

SPENT: dict[str, Any] = {"provider_budget_state": "blocked"}


def chain(first: dict[str, Any], second: dict[str, Any], **values: Any) -> TestData:
    data = TestData()
    fallback = {"provider": "anthropic", "model": "second", **second}
    data.agent("trader", model="first", fallbacks=[fallback], **first, **values)
    return data


def called(client: SwitchyardClient, **options: Any) -> list[str]:
    """The models of a chain whose steps all fail."""
    models: list[str] = []
    attempts = client.attempts("trader", **options)
    with pytest.raises(AllAttemptsFailed):
        fail_all(attempts, models)
    return models


def fail_all(attempts: Iterable[Attempt], models: list[str]) -> None:
    for attempt in attempts:
        with attempt:
            models.append(attempt.model)
            raise ConnectionError


@pytest.mark.parametrize(
    ("first", "second", "models"),
    [({}, {}, ["first", "second"]), (SPENT, {}, ["second"]), ({}, SPENT, ["first"])],
)
def test_a_step_whose_provider_has_spent_its_budget_is_passed_over(
    first: dict[str, Any], second: dict[str, Any], models: list[str]
) -> None:
    with chain(first, second).client() as client:
        assert called(client) == models


@pytest.mark.parametrize(
    "data",
    [chain(SPENT, SPENT), chain({}, {}, budget_state="blocked")],
    ids=["every provider", "the agent"],
)
def test_a_spent_budget_blocks_unless_told_otherwise(
    data: TestData, monkeypatch: pytest.MonkeyPatch
) -> None:
    with data.client() as client, pytest.raises(BudgetBlocked, match="trader"):
        client.attempts("trader")
    with data.client(enforce_budgets=False) as client:
        assert called(client) == ["first", "second"]
    monkeypatch.setenv("SWITCHYARD_ENFORCE_BUDGETS", "off")
    with data.client() as client:
        assert called(client) == ["first", "second"]
    with data.client(enforce_budgets=True) as client, pytest.raises(BudgetBlocked):
        client.attempts("trader")


def test_a_budget_that_is_spent_during_a_chain_ends_it() -> None:
    data = chain({}, {})

    def spend_and_fail(attempt: Attempt) -> None:
        data.update("trader", budget_state="blocked")
        raise ConnectionError

    with data.client() as client, pytest.raises(BudgetBlocked):
        client.call("trader", spend_and_fail)


def test_a_switch_that_is_neither_on_nor_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_ENFORCE_BUDGETS", "perhaps")
    with pytest.raises(ConfigurationError, match="SWITCHYARD_ENFORCE_BUDGETS must be true or"):
        SwitchyardClient(autoconnect=False)


def test_only_the_steps_that_the_caller_can_speak_to() -> None:
    with chain({}, {}).client() as client:
        assert called(client, only=lambda step: step.provider == "anthropic") == ["second"]
        with pytest.raises(ConfigurationError, match="agent trader has no step"):
            client.attempts("trader", only=lambda step: False)
    with chain({}, SPENT).client() as client, pytest.raises(BudgetBlocked):
        client.attempts("trader", only=lambda step: step.provider == "anthropic")


def test_a_providers_budget_is_on_the_wire_and_in_the_snapshot() -> None:
    step = {"llm_provider": "openai", "llm_model": "m"}
    blocked = step | {"provider_budget_state": "blocked"}
    config = decode_config({"agent_id": "a", **step, "fallbacks": [blocked]}, requested="a", rev=1)
    assert [step.provider_budget_state for step in config.steps] == ["ok", "blocked"]
    assert decode_config(encode_config(config), requested="a") == config


def test_an_asyncio_face_shares_everything_with_its_client() -> None:
    async def read(client: SwitchyardClient) -> None:
        face = AsyncSwitchyardClient.over(client)
        assert await face.get_agent_config("trader") is client.get_agent_config("trader")
        only_second = face.attempts("trader", only=lambda step: step.model == "second")
        async for attempt in only_second:
            async with attempt:
                assert attempt.model == "second"

    with chain({}, {}).client() as client:
        asyncio.run(read(client))
