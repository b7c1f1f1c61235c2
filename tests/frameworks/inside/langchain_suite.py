"""The real LangChain and LangGraph, on two providers of this machine."""

import asyncio
from typing import Any, TypedDict

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent
from pydantic import BaseModel
from switchyard_client import (
    AgentHalted,
    AgentTask,
    AsyncSwitchyardClient,
    ConfigurationError,
    SwitchyardClient,
)
from switchyard_client._frozen import freeze
from switchyard_client.integrations.langchain import ChatSwitchyard
from switchyard_client.testing import TestData

from tests.frameworks.inside.conftest import FAILED, FIRST, KEY, SECOND, Chain, counted
from tests.support.llm_server import LlmServer

SPOKEN = ["openai", "openai_compatible", "anthropic"]


@tool
def quote(ticker: str) -> str:
    """The price of a stock."""
    return f"{ticker} 100"


class Signal(BaseModel):
    """What to do."""

    side: str


class State(TypedDict):
    said: list[str]


@pytest.mark.parametrize("provider", SPOKEN)
def test_an_answer_with_the_steps_model_and_parameters(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, provider: str
) -> None:
    chain(provider)
    llm = ChatSwitchyard(client=client, agent_id="trader", task="triage")
    reply = llm.invoke("ping")
    assert reply.content == "first says"
    assert reply.usage_metadata["total_tokens"] == 14
    call = first.calls[0]
    assert call.key == KEY
    assert call.body["model"] == "first-model"
    # Anthropic's API takes none any more.
    assert call.body.get("temperature") == (None if provider == "anthropic" else 0.25)
    assert {call.body.get(name) for name in ("max_tokens", "max_completion_tokens")} == {64, None}
    assert None not in call.body.values()
    (event,) = data.usage_of("trader")
    assert counted(event) == FIRST
    assert (event["task"], event["response_model"]) == ("triage", "first-model")


def test_a_change_is_live(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible")
    llm = ChatSwitchyard(client=client, agent_id="trader")
    llm.invoke("ping")
    data.update("trader", model="another", temperature=None, api_key="sk-new")
    llm.invoke("ping")
    assert first.calls[-1].body["model"] == "another"
    assert "temperature" not in first.calls[-1].body
    assert first.calls[-1].key == "sk-new"
    data.halt("trader", "stop it")
    with pytest.raises(AgentHalted, match="stop it"):
        llm.invoke("ping")


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
    assert ChatSwitchyard(client=client, agent_id="trader").invoke("ping").content == "second says"
    assert [counted(event) for event in data.usage_of("trader", 2)] == [FAILED, SECOND]
    assert len(first.calls) == 1


def test_a_refused_request_is_sent_once(
    client: SwitchyardClient, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible", "openai_compatible")
    first.fail(400)
    with pytest.raises(openai.BadRequestError):
        ChatSwitchyard(client=client, agent_id="trader").invoke("ping")
    assert (len(first.calls), len(second.calls)) == (1, 0)


@pytest.mark.parametrize("provider", SPOKEN)
def test_tools(client: SwitchyardClient, chain: Chain, first: LlmServer, provider: str) -> None:
    chain(provider)
    first.arguments = {"ticker": "NVDA"}
    llm = ChatSwitchyard(client=client, agent_id="trader").bind_tools([quote])
    asked = HumanMessage("what does NVDA cost?")
    reply = llm.invoke([asked])
    assert isinstance(reply, AIMessage)
    (called,) = reply.tool_calls
    assert (called["name"], called["args"]) == ("quote", {"ticker": "NVDA"})
    answer = ToolMessage(quote.invoke(called["args"]), tool_call_id=called["id"])
    assert llm.invoke([asked, reply, answer]).content == "first says"


@pytest.mark.parametrize(
    ("choice", "to_openai", "to_anthropic"),
    [
        ("any", "required", {"type": "any"}),
        ("required", "required", {"type": "any"}),
        (
            "quote",
            {"type": "function", "function": {"name": "quote"}},
            {"type": "tool", "name": "quote"},
        ),
        (
            {"type": "function", "function": {"name": "quote"}},
            {"type": "function", "function": {"name": "quote"}},
            {"type": "tool", "name": "quote"},
        ),
        (None, None, None),
    ],
)
def test_a_tool_choice_in_the_words_of_each_provider(
    client: SwitchyardClient,
    chain: Chain,
    first: LlmServer,
    second: LlmServer,
    choice: Any,
    to_openai: Any,
    to_anthropic: Any,
) -> None:
    chain("openai_compatible", "anthropic")
    llm = ChatSwitchyard(client=client, agent_id="trader").bind_tools([quote], tool_choice=choice)
    llm.invoke("ping")
    assert first.calls[0].body.get("tool_choice") == to_openai
    first.fail(500)
    llm.invoke("ping")
    assert second.calls[0].body.get("tool_choice") == to_anthropic


@pytest.mark.parametrize("provider", SPOKEN)
def test_structured_output(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, provider: str
) -> None:
    schema = {"type": "object", "properties": {"side": {"enum": ["buy"]}}, "required": ["side"]}
    chain(provider, tasks=[AgentTask(name="triage", response_schema=freeze(schema))])
    first.arguments = {"side": "buy"}
    llm = ChatSwitchyard(client=client, agent_id="trader")
    assert llm.with_structured_output(Signal).invoke("ping") == Signal(side="buy")
    of_the_task = client.agent("trader").response_model("triage")
    assert llm.with_structured_output(of_the_task).invoke("ping").side == "buy"
    both = llm.with_structured_output(Signal, include_raw=True).invoke("ping")
    assert both["parsed"] == Signal(side="buy")
    assert len(data.usage_of("trader", 3)) == 3


@pytest.mark.parametrize("provider", SPOKEN)
def test_streams(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, provider: str
) -> None:
    chain(provider)
    llm = ChatSwitchyard(client=client, agent_id="trader")
    chunks = list(llm.stream("ping"))
    assert len(chunks) > 2
    assert "".join(str(chunk.content) for chunk in chunks) == "first says"
    (event,) = data.usage_of("trader")
    assert counted(event) == FIRST
    assert event["response_model"] == "first-model"


@pytest.mark.parametrize("provider", ["openai_compatible", "anthropic"])
@pytest.mark.parametrize("fault", ["fail_in_stream", "hang_up", "answer_html"])
def test_a_stream_that_does_not_begin_leads_to_the_next_step(
    client: SwitchyardClient, chain: Chain, first: LlmServer, provider: str, fault: str
) -> None:
    chain(provider, "openai_compatible")
    getattr(first, fault)()
    chunks = list(ChatSwitchyard(client=client, agent_id="trader").stream("ping"))
    assert "".join(str(chunk.content) for chunk in chunks) == "second says"


def test_without_an_agent(client: SwitchyardClient) -> None:
    with pytest.raises(ConfigurationError, match="outside of a LangGraph node"):
        ChatSwitchyard(client=client).invoke("ping")


def graph(llm: ChatSwitchyard) -> Any:
    """Two nodes, one model: each has another agent's configuration."""

    def ask(state: State) -> State:
        return {"said": [*state["said"], str(llm.invoke("ping").content)]}

    async def ask_streamed(state: State) -> State:
        chunks = [str(chunk.content) async for chunk in llm.astream("ping")]
        return {"said": [*state["said"], "".join(chunks)]}

    built = StateGraph(State)
    built.add_node("Bull Researcher", ask)
    built.add_node("risk_manager", ask_streamed)
    built.add_edge(START, "Bull Researcher")
    built.add_edge("Bull Researcher", "risk_manager")
    built.add_edge("risk_manager", END)
    return built.compile()


@pytest.mark.parametrize("streamed", [False, True])
def test_each_node_of_a_graph_has_the_agent_of_its_name(
    client: SwitchyardClient,
    data: TestData,
    chain: Chain,
    first: LlmServer,
    second: LlmServer,
    streamed: bool,
) -> None:
    chain("openai_compatible", agent_id="bull-researcher")
    data.agent(
        "risk-manager", provider="anthropic", model="m", endpoint=second.url, api_key="sk-risk"
    )
    running = graph(ChatSwitchyard(client=AsyncSwitchyardClient.over(client)))

    async def run() -> list[str]:
        if not streamed:
            return list((await running.ainvoke({"said": []}))["said"])
        tokens = [
            str(message.content)
            async for message, _ in running.astream({"said": []}, stream_mode="messages")
        ]
        return ["".join(tokens)]

    said = ["first says", "second says"]
    assert asyncio.run(run()) == (["".join(said)] if streamed else said)
    assert [call.body["model"] for call in (first.calls[0], second.calls[0])] == [
        "first-model",
        "m",
    ]
    assert counted(data.usage_of("bull-researcher")[0]) == FIRST
    assert len(data.usage_of("risk-manager")) == 1


def test_a_ready_made_agent_in_a_node_has_the_agent_of_that_node(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", agent_id="market-analyst")
    first.arguments = {"ticker": "NVDA"}
    built = StateGraph(MessagesState)
    built.add_node("Market Analyst", create_react_agent(ChatSwitchyard(client=client), [quote]))
    built.add_edge(START, "Market Analyst")
    said = built.compile().invoke({"messages": [("user", "what does NVDA cost?")]})["messages"]
    assert [message.type for message in said] == ["human", "ai", "tool", "ai"]
    assert said[-1].content == "first says"
    assert [event["agent_id"] for event in data.usage_of("market-analyst", 2)] == [
        "market-analyst",
        "market-analyst",
    ]


def test_it_shows_no_secret(client: SwitchyardClient, chain: Chain) -> None:
    from langchain_core.load import dumps

    chain("openai_compatible")
    llm = ChatSwitchyard(client=client, agent_id="trader")
    llm.invoke("ping")
    shown = [repr(llm), str(llm), dumps(llm), repr(llm._identifying_params), repr(llm.dict())]
    assert not [text for text in shown if KEY in text or "test-token" in text]


def test_a_cache_of_answers_tells_models_apart(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    from langchain_core.caches import InMemoryCache

    chain("openai_compatible")
    llm = ChatSwitchyard(client=client, agent_id="trader", cache=InMemoryCache())
    llm.invoke("ping")
    llm.invoke("ping")
    assert len(first.calls) == 1
    data.update("trader", model="another")
    llm.invoke("ping")
    assert len(first.calls) == 2
