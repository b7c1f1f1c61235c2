"""The real openai package, on two providers of this machine."""

import asyncio

import openai
import pytest
from switchyard_client import AllAttemptsFailed, AsyncSwitchyardClient, SwitchyardClient
from switchyard_client.integrations.openai import AsyncSwitchyardOpenAI, SwitchyardOpenAI
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


def test_an_answer_with_the_steps_model_and_parameters(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible")
    ai = SwitchyardOpenAI(client, "trader", task="triage")
    reply = ai.chat.completions.create(messages=QUESTION)
    assert reply.choices[0].message.content == "first says"
    call = first.calls[0]
    assert call.key == KEY
    assert call.body == {
        "model": "first-model",
        "messages": QUESTION,
        "temperature": 0.25,
        "max_tokens": 64,
    }
    (event,) = data.usage_of("trader")
    assert counted(event) == FIRST
    assert event["task"] == "triage"


def test_the_caller_wins_and_what_is_null_is_left_out(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai")
    data.update("trader", temperature=None, max_tokens=None)
    ai = SwitchyardOpenAI(client, "trader")
    ai.chat.completions.create(messages=QUESTION)
    assert first.calls[-1].body == {"model": "first-model", "messages": QUESTION}
    data.update("trader", temperature=0.5, max_tokens=9)
    ai.chat.completions.create(messages=QUESTION, temperature=1)
    assert first.calls[-1].body["temperature"] == 1
    assert first.calls[-1].body["max_completion_tokens"] == 9
    ai.chat.completions.create(messages=QUESTION, max_tokens=2)
    assert first.calls[-1].body["max_tokens"] == 2
    assert "max_completion_tokens" not in first.calls[-1].body


def test_a_change_is_live_and_the_connection_is_kept(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible")
    ai = SwitchyardOpenAI(client, "trader")
    ai.chat.completions.create(messages=QUESTION)
    data.update("trader", model="another-model", api_key="sk-new")
    reply = ai.chat.completions.create(messages=QUESTION)
    assert reply.model == "another-model"
    assert first.calls[-1].key == "sk-new"


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_fault_of_the_provider_leads_to_the_next_step(
    client: SwitchyardClient,
    data: TestData,
    chain: Chain,
    first: LlmServer,
    second: LlmServer,
    status: int,
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(status)
    ai = SwitchyardOpenAI(client, "trader")
    assert ai.chat.completions.create(messages=QUESTION).model == "second-model"
    assert len(first.calls) == 1  # the SDK's own retries are off
    assert [counted(event) for event in data.usage_of("trader", 2)] == [FAILED, SECOND]


def test_refused_hung_up_and_garbled(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    ai = SwitchyardOpenAI(client, "trader")
    first.hang_up()
    assert ai.chat.completions.create(messages=QUESTION).model == "second-model"
    first.answer_html()
    data.update("trader", model="garbling")
    assert ai.chat.completions.create(messages=QUESTION).model == "second-model"
    data.update("trader", endpoint=refusing_url())
    assert ai.chat.completions.create(messages=QUESTION).model == "second-model"


def test_a_provider_that_hangs(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    data.update("trader", timeout=0.2)
    first.hang()
    ai = SwitchyardOpenAI(client, "trader")
    assert ai.chat.completions.create(messages=QUESTION).model == "second-model"


def test_a_refused_request_is_sent_once(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(400)
    with pytest.raises(openai.BadRequestError):
        SwitchyardOpenAI(client, "trader").chat.completions.create(messages=QUESTION)
    assert (len(first.calls), len(second.calls)) == (1, 0)


def test_the_end_of_the_chain(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(500)
    second.fail(429)
    with pytest.raises(AllAttemptsFailed) as caught:
        SwitchyardOpenAI(client, "trader").chat.completions.create(messages=QUESTION)
    assert [attempt.reason for attempt in caught.value.attempts] == ["server_error", "rate_limited"]


def test_a_stream_is_counted_and_looks_as_it_was_asked_for(
    client: SwitchyardClient, data: TestData, chain: Chain
) -> None:
    chain("openai_compatible")
    ai = SwitchyardOpenAI(client, "trader")
    chunks = list(ai.chat.completions.create(messages=QUESTION, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "first says"
    assert counted(data.usage_of("trader")[0]) == FIRST
    asked = {"stream_options": {"include_usage": True}}
    *_, last = ai.chat.completions.create(messages=QUESTION, stream=True, **asked)
    assert last.usage.completion_tokens == 3


@pytest.mark.parametrize("fault", ["fail", "fail_in_stream", "hang_up", "answer_html"])
def test_a_stream_that_does_not_begin_leads_to_the_next_step(
    client: SwitchyardClient, chain: Chain, first: LlmServer, fault: str
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(503) if fault == "fail" else getattr(first, fault)()
    ai = SwitchyardOpenAI(client, "trader")
    chunks = list(ai.chat.completions.create(messages=QUESTION, stream=True))
    assert {chunk.model for chunk in chunks} == {"second-model"}


def test_a_stream_that_breaks_is_not_begun_again(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.break_streams()
    ai = SwitchyardOpenAI(client, "trader")
    said = [
        chunk.choices[0].delta.content
        for chunk in ai.chat.completions.create(messages=QUESTION, stream=True)
    ]
    assert said == ["", "fi"]
    assert second.calls == []


def test_structured_output(client: SwitchyardClient, chain: Chain, first: LlmServer) -> None:
    from pydantic import BaseModel

    class Signal(BaseModel):
        side: str

    chain("openai_compatible")
    first.text = '{"side": "buy"}'
    ai = SwitchyardOpenAI(client, "trader")
    reply = ai.chat.completions.parse(messages=QUESTION, response_format=Signal)
    assert reply.choices[0].message.parsed == Signal(side="buy")


def test_tools(client: SwitchyardClient, chain: Chain, first: LlmServer) -> None:
    chain("openai_compatible")
    first.arguments = {"ticker": "NVDA"}
    tool = {"type": "function", "function": {"name": "quote", "parameters": {"type": "object"}}}
    reply = SwitchyardOpenAI(client, "trader").chat.completions.create(
        messages=QUESTION, tools=[tool]
    )
    assert reply.choices[0].message.tool_calls[0].function.name == "quote"


def test_responses(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai", "openai_compatible")
    ai = SwitchyardOpenAI(client, "trader")
    assert ai.responses.create(input="ping").output_text == "first says"
    assert first.calls[0].body == {
        "model": "first-model",
        "input": "ping",
        "temperature": 0.25,
        "max_output_tokens": 64,
    }
    events = list(ai.responses.create(input="ping", stream=True))
    assert "".join(getattr(event, "delta", "") for event in events) == "first says"
    first.fail(500)
    assert ai.responses.create(input="ping").model == "second-model"
    recorded = [counted(event) for event in data.usage_of("trader", 4)]
    assert recorded == [FIRST, FIRST, FAILED, SECOND]


def test_on_asyncio(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")

    async def ask(own: SwitchyardClient | AsyncSwitchyardClient) -> list[str]:
        ai = AsyncSwitchyardOpenAI(own, "trader")
        reply = await ai.chat.completions.create(messages=QUESTION)
        stream = await ai.chat.completions.create(messages=QUESTION, stream=True)
        return [reply.model, *{chunk.model async for chunk in stream}]

    assert asyncio.run(ask(client)) == ["first-model", "first-model"]
    first.fail(500)
    # Another event loop: the connections of the first one are not taken over.
    assert asyncio.run(ask(AsyncSwitchyardClient.over(client))) == ["second-model"] * 2
    events = [counted(event) for event in data.usage_of("trader", 5)]
    assert sorted(events) == sorted([FIRST, FIRST, FAILED, SECOND, SECOND])
