"""The real LiteLLM and its Router, on two providers of this machine."""

import asyncio

import litellm
import pytest
from switchyard_client import AgentHalted, AllAttemptsFailed, SwitchyardClient
from switchyard_client.integrations.litellm import SwitchyardRouter, fallbacks, model_list
from switchyard_client.testing import TestData

from tests.frameworks.inside.conftest import (
    FAILED,
    FIRST,
    KEY,
    QUESTION,
    SECOND,
    Chain,
    counted,
)
from tests.support.llm_server import LlmServer, refusing_url

SPOKEN = ["openai", "openai_compatible", "anthropic", "deepseek", "mistral", "openrouter", "vllm"]


@pytest.mark.parametrize("provider", SPOKEN)
def test_an_answer_with_the_steps_model_and_parameters(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, provider: str
) -> None:
    chain(provider)
    reply = SwitchyardRouter(client).completion("trader", messages=QUESTION, task="triage")
    assert reply.choices[0].message.content == "first says"
    call = first.calls[0]
    assert call.key == KEY
    assert call.body["model"] == "first-model"
    assert call.body["temperature"] == 0.25
    assert "task" not in call.body
    (event,) = data.usage_of("trader")
    assert counted(event) == FIRST
    assert event["task"] == "triage"


def test_a_change_is_live_and_the_caller_wins(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible")
    router = SwitchyardRouter(client)
    router.completion("trader", messages=QUESTION)
    data.update("trader", model="another", temperature=None, api_key="sk-new")
    router.completion("trader", messages=QUESTION, max_tokens=5)
    body = first.calls[-1].body
    assert (body["model"], body["max_tokens"], first.calls[-1].key) == ("another", 5, "sk-new")
    assert "temperature" not in body
    data.halt("trader", "stop it")
    with pytest.raises(AgentHalted, match="stop it"):
        router.completion("trader", messages=QUESTION)


@pytest.mark.parametrize("fault", [401, 404, 429, 500, "hang_up", "answer_html", "refuse"])
def test_a_fault_of_the_provider_leads_to_the_next_step(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, fault: int | str
) -> None:
    chain("openai_compatible", "anthropic")
    if fault == "refuse":
        data.update("trader", endpoint=refusing_url())
    else:
        first.fail(fault) if isinstance(fault, int) else getattr(first, fault)()
    reply = SwitchyardRouter(client).completion("trader", messages=QUESTION)
    assert reply.choices[0].message.content == "second says"
    assert [counted(event) for event in data.usage_of("trader", 2)] == [FAILED, SECOND]
    assert len(first.calls) <= 1  # LiteLLM's own retries are off


def test_a_refused_request_is_sent_once(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(400)
    with pytest.raises(litellm.BadRequestError):
        SwitchyardRouter(client).completion("trader", messages=QUESTION)
    assert (len(first.calls), len(second.calls)) == (1, 0)
    first.fail(500)
    second.fail(429)
    with pytest.raises(AllAttemptsFailed):
        SwitchyardRouter(client).completion("trader", messages=QUESTION)


@pytest.mark.parametrize("fault", ["work", "hang_up"])
def test_a_stream(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, fault: str
) -> None:
    chain("openai_compatible", "openai_compatible")
    getattr(first, fault)()
    chunks = SwitchyardRouter(client).completion("trader", messages=QUESTION, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == ("first says" if fault == "work" else "second says")
    events = data.usage_of("trader", 1 if fault == "work" else 2)
    assert counted(events[-1]) == (FIRST if fault == "work" else SECOND)


def test_on_asyncio(client: SwitchyardClient, chain: Chain, first: LlmServer) -> None:
    chain("openai_compatible", "anthropic")
    router = SwitchyardRouter(client)

    async def ask() -> list[str]:
        reply = await router.acompletion("trader", messages=QUESTION)
        stream = await router.acompletion("trader", messages=QUESTION, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return [reply.choices[0].message.content, "".join(said)]

    assert asyncio.run(ask()) == ["first says", "first says"]
    first.fail(500)
    assert asyncio.run(ask()) == ["second says", "second says"]


def test_model_groups_of_ones_own_go_on_working(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible")
    own = {"model": "openai/mine", "api_base": first.url, "api_key": "sk-mine"}
    router = SwitchyardRouter(client, model_list=[{"model_name": "mine", "litellm_params": own}])
    router.completion("mine", messages=QUESTION)
    assert first.calls[0].key == "sk-mine"
    assert data.usage == []


def test_a_plain_router_of_the_moment(
    client: SwitchyardClient, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", "anthropic")
    router = litellm.Router(
        model_list=model_list(client, "trader"), fallbacks=fallbacks(client, "trader")
    )
    first.fail(500)
    reply = router.completion("trader", messages=QUESTION)
    assert reply.choices[0].message.content == "second says"
