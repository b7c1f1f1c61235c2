"""Handles: one object an agent, live, and calm when the server is away."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from switchyard_client import (
    AgentTask,
    Prompts,
    Secret,
    SpeechConfig,
    SwitchyardClient,
    TransportError,
)
from switchyard_client._agents import Part, parse_part
from switchyard_client._errors import InvalidAnswer
from switchyard_client._frozen import freeze
from switchyard_client.testing import QUICK, MockTransport, TestData

from tests.support.fault_server import wait_until

KEY = "sk-very-secret"
SCHEMA = freeze({"type": "object", "properties": {"side": {"enum": ["buy", "sell"]}}})


class CountingTransport(MockTransport):
    """Counts questions and answers them when it may."""

    def __init__(self, data: TestData) -> None:
        super().__init__(data)
        self.asked: list[tuple[str, str]] = []
        self.may = threading.Event()
        self.may.set()

    def fetch_part(self, agent_id: str, part: str) -> Any:
        self.asked.append((agent_id, part))
        self.may.wait(30)
        return super().fetch_part(agent_id, part)


@pytest.fixture
def data() -> TestData:
    data = TestData()
    write(data, "You trade.")
    return data


def write(data: TestData, system_prompt: str) -> None:
    data.agent(
        "trader",
        is_default=True,
        prompts=Prompts(system_prompt=system_prompt),
        tasks=[AgentTask(name="triage", response_schema=SCHEMA), AgentTask(name="talk")],
        tts=SpeechConfig(
            provider="async.ai", api_key=Secret(KEY), settings=freeze({"voice_id": "v1"})
        ),
    )


@pytest.fixture
def transport(data: TestData) -> CountingTransport:
    return CountingTransport(data)


@pytest.fixture
def client(data: TestData, transport: CountingTransport) -> Iterator[SwitchyardClient]:
    with data.client(transport=lambda: transport) as client:
        yield client


def test_what_it_has(client: SwitchyardClient) -> None:
    trader = client.agent("trader")
    assert trader.config is client.get_agent_config("trader")
    assert trader.prompts == Prompts(system_prompt="You trade.")
    assert list(trader.tasks) == ["triage", "talk"]
    assert trader.tasks["triage"].response_schema == SCHEMA
    assert trader.tasks["talk"].response_schema is None
    assert trader.tts is not None
    assert (trader.tts.provider, trader.tts.settings) == ("async.ai", {"voice_id": "v1"})
    assert trader.stt is None
    assert repr(trader) == "<Agent trader>"


def test_a_key_never_shows_itself(client: SwitchyardClient) -> None:
    tts = client.agent("trader").tts
    assert tts is not None
    assert KEY not in repr(tts) + str(tts.to_dict())
    assert tts.to_dict(reveal_keys=True) == {
        "provider": "async.ai",
        "api_key": KEY,
        "voice_id": "v1",
    }


def test_there_is_one_object_an_agent_while_it_is_used(client: SwitchyardClient) -> None:
    trader = client.agent("trader")
    assert client.agent("trader") is trader
    del trader
    gc.collect()
    assert len(client._agents) == 0
    with pytest.raises(ValueError, match="agent id"):
        client.agent("")


def test_the_server_is_asked_once_until_something_changes(
    data: TestData, client: SwitchyardClient, transport: CountingTransport
) -> None:
    trader = client.agent("trader")
    assert trader.prompts is trader.prompts
    assert transport.asked == [("trader", "")]
    write(data, "You trade less.")
    assert trader.prompts.system_prompt == "You trade less."
    assert transport.asked == [("trader", "")] * 2


def test_many_threads_are_one_question(
    client: SwitchyardClient, transport: CountingTransport
) -> None:
    transport.may.clear()
    answers: list[str | None] = []
    trader = client.agent("trader")
    threads = [
        threading.Thread(target=lambda: answers.append(trader.prompts.system_prompt))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    transport.may.set()
    for thread in threads:
        thread.join(30)
    assert answers == ["You trade."] * 16
    assert transport.asked == [("trader", "")]


def test_an_unknown_agent_has_its_defaults(client: SwitchyardClient) -> None:
    other = client.agent("other")
    assert other.prompts.system_prompt == "You trade."
    assert other.tts is not None


def test_an_old_value_stays_in_use_while_the_server_is_away(
    data: TestData, client: SwitchyardClient
) -> None:
    trader = client.agent("trader")
    assert trader.prompts.system_prompt == "You trade."
    data.go_away()
    assert trader.prompts.system_prompt == "You trade."
    with pytest.raises(TransportError):
        _ = trader.tasks
    client.close()
    assert trader.prompts.system_prompt == "You trade."
    data.come_back()
    client.connect()
    assert client.wait_ready(20)
    assert list(trader.tasks) == ["triage", "talk"]


def test_a_server_that_hangs_holds_up_one_read_only(
    data: TestData, transport: CountingTransport
) -> None:
    impatient = replace(QUICK, first_read=0.05, cold_retry=60)
    with data.client(transport=lambda: transport, timings=impatient) as client:
        trader = client.agent("trader")
        transport.may.clear()
        with pytest.raises(TransportError, match="nothing is known"):
            _ = trader.prompts
        with pytest.raises(TransportError):
            _ = trader.prompts
        wait_until(lambda: transport.asked)
        transport.may.set()
    assert transport.asked == [("trader", "")]


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        (Part.PROMPTS, {"system_prompt": 1}),
        (Part.TASKS, {}),
        (Part.TASKS, {"tasks": ["triage"]}),
        (Part.TASKS, {"tasks": [{"name": ""}]}),
        (Part.TASKS, {"tasks": [{"name": "x", "response_schema": "y"}]}),
        (Part.VOICE, {"tts_provider_config": {"voice_id": "v"}}),
    ],
)
def test_answers_of_the_wrong_shape(part: Part, answer: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswer):
        parse_part(part, answer)


def test_a_task_that_is_switched_off_is_none() -> None:
    listed = [{"name": "on", "is_active": True}, {"name": "off", "is_active": False}]
    assert list(parse_part(Part.TASKS, {"tasks": listed})) == ["on"]


def test_on_asyncio(data: TestData) -> None:
    async def main() -> None:
        async with data.async_client() as client:
            assert await client.wait_ready(20)
            trader = client.agent("trader")
            assert client.agent("trader") is trader
            assert (await trader.config).model == "test-model"
            assert (await trader.prompts).system_prompt == "You trade."
            assert list(await trader.tasks) == ["triage", "talk"]
            assert (await trader.tts) is not None
            assert (await trader.stt) is None
            assert repr(trader) == "<AsyncAgent trader>"

    asyncio.run(main())
