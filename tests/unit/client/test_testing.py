"""What users test their programs with: no server, no network, the real client."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from switchyard_client import AgentHalted, SwitchyardClient, testing
from switchyard_client.testing import MockTransport, TestData

from tests.support.fault_server import wait_until


@pytest.fixture
def data() -> TestData:
    data = TestData()
    data.agent(
        "trader",
        model="gpt-4.1",
        api_key="sk-test",
        endpoint="https://api.openai.com/v1",
        metadata={"desk": "rates"},
        fallbacks=[{"provider": "ollama", "model": "small"}],
    )
    return data


@pytest.fixture
def client(data: TestData) -> Iterator[SwitchyardClient]:
    with data.client() as client:
        yield client
    assert not [t.name for t in threading.enumerate() if t.name.startswith("switchyard-")]
    assert not data._streams


def test_the_public_names() -> None:
    assert testing.__all__ == ["MockTransport", "TestData"]


def test_an_agent_is_read_as_from_a_server(client: SwitchyardClient) -> None:
    config = client.get_agent_config("trader")
    assert (config.source, config.provider, config.model) == ("agent", "openai", "gpt-4.1")
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "sk-test"
    assert config.metadata == {"desk": "rates"}
    assert config.fallbacks[0].provider == "ollama"
    assert client.status == "LIVE"


def test_a_change_is_there_when_the_method_returns(
    data: TestData, client: SwitchyardClient
) -> None:
    heard: list[str] = []
    client.on_config_change(lambda agent_id, config: heard.append(config.model))
    for number in range(20):
        data.update("trader", model=f"m{number}")
        assert client.get_agent_config("trader").model == f"m{number}"
    wait_until(lambda: len(heard) == 20)
    data.update("trader", api_key="sk-other", fallbacks=[])
    config = client.get_agent_config("trader")
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "sk-other"
    assert config.fallbacks == ()


def test_everything_has_a_default(data: TestData, client: SwitchyardClient) -> None:
    data.agent("plain", fallbacks=[{}])
    config = client.get_agent_config("plain")
    assert {(step.provider, step.model) for step in config.steps} == {("openai", "test-model")}


def test_new_and_deleted_agents(data: TestData, client: SwitchyardClient) -> None:
    assert client.get_agent_config("new").source == "built_in"
    data.agent("default", model="small", is_default=True)
    data.agent("new", model="fresh")
    assert client.get_agent_config("new").model == "fresh"
    data.delete("new")
    assert client.get_agent_config("new").source == "default"
    assert client.get_agent_config("never-seen").model == "small"
    with pytest.raises(KeyError):
        data.update("new", model="x")


def test_the_red_button(data: TestData, client: SwitchyardClient) -> None:
    data.halt("trader", "too expensive")
    with pytest.raises(AgentHalted, match="too expensive"):
        client.attempts("trader")
    data.resume("trader")
    assert client.call("trader", lambda attempt: attempt.model) == "gpt-4.1"


def test_fallback_and_usage(data: TestData, client: SwitchyardClient) -> None:
    for attempt in client.attempts("trader"):
        with attempt:
            if attempt.position == 0:
                raise TimeoutError
            attempt.record({"usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    failed, answered = sorted(data.usage_of("trader", 2), key=lambda event: event["attempt"])
    assert (failed["status"], answered["output_tokens"]) == ("error", 2)
    with pytest.raises(AssertionError, match="in vain"):
        data.usage_of("trader", 3, timeout=0.01)


@pytest.mark.parametrize(("fault", "status"), [("go_away", "STALE"), ("refuse", "UNAUTHORIZED")])
def test_a_server_that_is_away_or_refuses(
    data: TestData, client: SwitchyardClient, fault: str, status: str
) -> None:
    getattr(data, fault)()
    wait_until(lambda: client.status == status)
    assert client.get_agent_config("trader").model == "gpt-4.1"
    client.report_usage("trader", input_tokens=1)
    data.update("trader", model="missed")
    data.come_back()
    wait_until(lambda: client.get_agent_config("trader").model == "missed")


def test_a_start_without_a_server(data: TestData) -> None:
    data.go_away()
    with data.client() as client:
        assert client.get_agent_config("trader").source == "built_in"


def test_several_clients_and_own_options(data: TestData) -> None:
    with (
        SwitchyardClient(transport=lambda: MockTransport(data)) as own,
        data.client(streaming=False) as polling,
        data.client(autoconnect=False) as idle,
    ):
        assert own.wait_ready(20)
        assert polling.get_agent_config("trader").model == "gpt-4.1"
        assert idle.status == "INITIALIZING"
        data.update("trader", model="next")
        wait_until(lambda: polling.get_agent_config("trader").model == "next")


def test_on_asyncio(data: TestData) -> None:
    async def main() -> str:
        async with data.async_client() as client:
            assert client.status == "LIVE"
            return (await client.get_agent_config("trader")).model

    assert asyncio.run(main()) == "gpt-4.1"
