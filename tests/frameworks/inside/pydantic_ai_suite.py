"""The real Pydantic AI, on two providers of this machine."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from switchyard_client import AgentHalted, AllAttemptsFailed, SwitchyardClient
from switchyard_client.integrations.pydantic_ai import SwitchyardModel
from switchyard_client.testing import TestData

from tests.frameworks.inside.conftest import FAILED, FIRST, KEY, SECOND, Chain, counted
from tests.support.llm_server import LlmServer, refusing_url

SPOKEN = ["openai", "openai_compatible", "anthropic"]


class Signal(BaseModel):
    side: str


@pytest.mark.parametrize("provider", SPOKEN)
def test_an_answer_with_the_steps_model_and_parameters(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, provider: str
) -> None:
    chain(provider)
    agent = Agent(SwitchyardModel(client, "trader", task="triage"))
    result = agent.run_sync("ping")
    assert result.output == "first says"
    call = first.calls[0]
    assert call.key == KEY
    assert call.body["model"] == "first-model"
    # Anthropic's API takes none any more.
    assert call.body.get("temperature") == (None if provider == "anthropic" else 0.25)
    assert 64 in call.body.values()
    (event,) = data.usage_of("trader")
    assert counted(event) == FIRST
    assert (event["task"], event["response_model"]) == ("triage", "first-model")


def test_a_change_is_live_and_settings_of_the_run_win(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible")
    model = SwitchyardModel(client, "trader")
    agent = Agent(model)
    agent.run_sync("ping")
    data.update("trader", model="another", temperature=None, api_key="sk-new")
    agent.run_sync("ping")
    assert model.model_name == "another"
    assert first.calls[-1].body["model"] == "another"
    assert "temperature" not in first.calls[-1].body
    assert first.calls[-1].key == "sk-new"
    agent.run_sync("ping", model_settings={"temperature": 1.0})
    assert first.calls[-1].body["temperature"] == 1.0
    data.halt("trader", "stop it")
    with pytest.raises(AgentHalted, match="stop it"):
        agent.run_sync("ping")


@pytest.mark.parametrize("provider", ["openai_compatible", "anthropic"])
@pytest.mark.parametrize("fault", [401, 404, 429, 500, "hang_up", "answer_html"])
def test_a_fault_of_the_provider_leads_to_the_next_step(
    client: SwitchyardClient,
    data: TestData,
    chain: Chain,
    first: LlmServer,
    provider: str,
    fault: Any,
) -> None:
    chain(provider, "anthropic" if provider == "openai_compatible" else "openai_compatible")
    first.fail(fault) if isinstance(fault, int) else getattr(first, fault)()
    assert Agent(SwitchyardModel(client, "trader")).run_sync("ping").output == "second says"
    assert [counted(event) for event in data.usage_of("trader", 2)] == [FAILED, SECOND]
    assert len(first.calls) == 1


def test_refused_and_hanging(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    agent = Agent(SwitchyardModel(client, "trader"))
    data.update("trader", endpoint=refusing_url())
    assert agent.run_sync("ping").output == "second says"
    data.update("trader", endpoint=first.url, timeout=0.2)
    first.hang()
    assert agent.run_sync("ping").output == "second says"


def test_a_refused_request_is_sent_once(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(400)
    with pytest.raises(ModelHTTPError):
        Agent(SwitchyardModel(client, "trader")).run_sync("ping")
    assert (len(first.calls), len(second.calls)) == (1, 0)


def test_the_end_of_the_chain(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(500)
    second.hang_up()
    with pytest.raises(AllAttemptsFailed) as caught:
        Agent(SwitchyardModel(client, "trader")).run_sync("ping")
    assert [attempt.reason for attempt in caught.value.attempts] == ["server_error", "connection"]


@pytest.mark.parametrize("provider", SPOKEN)
def test_tools_and_structured_output(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, provider: str
) -> None:
    chain(provider)
    first.arguments = {"side": "buy"}
    asked: list[str] = []
    agent = Agent(SwitchyardModel(client, "trader"))

    @agent.tool_plain
    def order(side: str) -> str:
        asked.append(side)
        return "done"

    assert agent.run_sync("buy!").output == "first says"
    assert asked == ["buy"]
    typed = Agent(SwitchyardModel(client, "trader"), output_type=Signal)
    assert typed.run_sync("what to do?").output == Signal(side="buy")
    assert len(data.usage_of("trader", 3)) == 3


@pytest.mark.parametrize("provider", SPOKEN)
@pytest.mark.parametrize("fault", [None, "hang_up", "fail_in_stream"])
def test_streams(
    client: SwitchyardClient,
    data: TestData,
    chain: Chain,
    first: LlmServer,
    provider: str,
    fault: str | None,
) -> None:
    chain(provider, "openai_compatible")
    if fault:
        getattr(first, fault)()

    async def ask() -> str:
        async with Agent(SwitchyardModel(client, "trader")).run_stream("ping") as run:
            return "".join([text async for text in run.stream_text(delta=True)])

    assert asyncio.run(ask()) == ("second says" if fault else "first says")
    events = data.usage_of("trader", 2 if fault else 1)
    assert counted(events[-1]) == (SECOND if fault else FIRST)


def test_a_stream_that_breaks_is_not_begun_again(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("anthropic", "openai_compatible")
    first.break_streams()

    async def ask() -> str:
        async with Agent(SwitchyardModel(client, "trader")).run_stream("ping") as run:
            return "".join([text async for text in run.stream_text(delta=True)])

    assert asyncio.run(ask()) == "fi"
    assert second.calls == []


def test_a_stream_that_its_reader_leaves_has_cost_something(
    client: SwitchyardClient, data: TestData, chain: Chain
) -> None:
    chain("openai_compatible")

    async def ask() -> None:
        async with Agent(SwitchyardModel(client, "trader")).run_stream("ping") as run:
            assert await run.get_output() == "first says"
            raise LookupError("the reader's own")

    with pytest.raises(LookupError):
        asyncio.run(ask())
    assert counted(data.usage_of("trader")[0]) == FIRST
