"""The real anthropic package, on two providers of this machine."""

import asyncio

import anthropic
import pytest
from switchyard_client import ConfigurationError, SwitchyardClient
from switchyard_client.integrations.anthropic import (
    AsyncSwitchyardAnthropic,
    SwitchyardAnthropic,
)
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
from tests.support.llm_server import LlmServer


def test_an_answer_with_the_steps_model_and_parameters(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("anthropic")
    ai = SwitchyardAnthropic(client, "trader")
    assert ai.messages.create(messages=QUESTION).content[0].text == "first says"
    assert first.calls[0].key == KEY
    assert first.calls[0].path == "/v1/messages"
    assert first.calls[0].body == {
        "model": "first-model",
        "messages": QUESTION,
        "max_tokens": 64,  # and no temperature: this SDK takes none
    }
    assert counted(data.usage_of("trader")[0]) == FIRST
    data.update("trader", temperature=None, max_tokens=None)
    ai.messages.create(messages=QUESTION, system="Be short.")
    assert first.calls[-1].body == {
        "model": "first-model",
        "messages": QUESTION,
        "max_tokens": 4096,
        "system": "Be short.",
    }


@pytest.mark.parametrize("status", [401, 404, 429, 500, 529])
def test_a_fault_of_the_provider_leads_to_the_next_step(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, status: int
) -> None:
    chain("anthropic", "anthropic")
    first.fail(status)
    reply = SwitchyardAnthropic(client, "trader").messages.create(messages=QUESTION)
    assert reply.model == "second-model"
    assert [counted(event) for event in data.usage_of("trader", 2)] == [FAILED, SECOND]


def test_a_web_page_and_a_closed_connection(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("anthropic", "anthropic")
    ai = SwitchyardAnthropic(client, "trader")
    first.answer_html()
    assert ai.messages.create(messages=QUESTION).model == "second-model"
    data.update("trader", model="hung-up")
    first.hang_up()
    assert ai.messages.create(messages=QUESTION).model == "second-model"


def test_a_refused_request_is_sent_once(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("anthropic", "anthropic")
    first.fail(400)
    with pytest.raises(anthropic.BadRequestError):
        SwitchyardAnthropic(client, "trader").messages.create(messages=QUESTION)
    assert (len(first.calls), len(second.calls)) == (1, 0)


def test_steps_of_other_providers_are_passed_over(
    client: SwitchyardClient, chain: Chain, first: LlmServer
) -> None:
    chain("openai", "anthropic")
    ai = SwitchyardAnthropic(client, "trader")
    assert ai.messages.create(messages=QUESTION).model == "second-model"
    assert first.calls == []
    chain("openai")
    with pytest.raises(ConfigurationError, match="trader has no step"):
        ai.messages.create(messages=QUESTION)


@pytest.mark.parametrize("fault", ["work", "fail_in_stream", "answer_html"])
def test_a_stream(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, fault: str
) -> None:
    chain("anthropic", "anthropic")
    getattr(first, fault)()
    events = list(
        SwitchyardAnthropic(client, "trader").messages.create(messages=QUESTION, stream=True)
    )
    said = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    assert said == ("first says" if fault == "work" else "second says")
    expected = FIRST if fault == "work" else SECOND
    assert expected in [counted(event) for event in data.usage_of("trader", 1 + (fault != "work"))]


def test_on_asyncio(client: SwitchyardClient, chain: Chain, first: LlmServer) -> None:
    chain("anthropic", "anthropic")

    async def ask() -> list[str]:
        ai = AsyncSwitchyardAnthropic(client, "trader")
        reply = await ai.messages.create(messages=QUESTION)
        stream = await ai.messages.create(messages=QUESTION, stream=True)
        events = [event async for event in stream]
        return [reply.model, events[0].message.model]

    assert asyncio.run(ask()) == ["first-model", "first-model"]
    first.fail(500)
    assert asyncio.run(ask()) == ["second-model", "second-model"]
