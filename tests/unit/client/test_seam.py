"""The transport seam: a client of a made-up server, nothing patched, no socket opened."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from switchyard_client import AgentConfig, SwitchyardClient, Timings, TransportError
from switchyard_client._errors import NotFound, Unreachable
from switchyard_client._messages import Batch, Item, SyncAnswer

from tests.support.fault_server import wait_until


def config(agent_id: str, asked: str | None = None, **fields: Any) -> AgentConfig:
    plain = {"provider": "openai", "model": "m", "requested_agent_id": asked or agent_id}
    return AgentConfig(agent_id=agent_id, **(plain | fields))


class MadeUpServer:
    """Everything a `Transport` has to do."""

    def __init__(self) -> None:
        self.configs = {"trader": config("trader")}
        self.fetched: list[str] = []
        self.usage: list[dict[str, Any]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.rev = 1

    def fetch_agent(self, agent_id: str) -> tuple[AgentConfig, str]:
        self.fetched.append(agent_id)
        model, rev = f"m{self.rev}", self.rev
        self.hold.wait(60)
        if agent_id == "nothing":
            raise NotFound("404")
        return config("default", agent_id, model=model, source="default", rev=rev), "e"

    def sync(self, epoch: str | None, since: int | None, etag: str | None) -> SyncAnswer | None:
        items = tuple(Item(name, found) for name, found in self.configs.items())
        return SyncAnswer(Batch("e", self.rev, items, full=True, has_keys=True))

    def open_stream(self) -> Any:
        raise Unreachable("no streams here")

    def fetch_part(self, agent_id: str, part: str) -> dict[str, Any]:
        return {"system_prompt": f"You are {agent_id}."}

    def send_usage(self, events: Sequence[dict[str, Any]]) -> list[str]:
        self.usage += events
        return []

    def interrupt(self) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


@pytest.fixture
def server() -> MadeUpServer:
    return MadeUpServer()


def client_of(server: MadeUpServer) -> SwitchyardClient:
    return SwitchyardClient(transport=lambda: server, timings=Timings(first_read=60, close=60))


def test_a_client_needs_nothing_but_a_transport(server: MadeUpServer) -> None:
    with client_of(server) as client:
        assert client.wait_ready(60)
        assert client.get_agent_config("trader").model == "m"
        assert client.get_agent_config("other").source == "default"
        assert client.get_agent_config("nothing").source == "built_in"
    assert set(server.fetched) == {"other", "nothing"}


def test_news_during_a_read_lead_to_another_read(server: MadeUpServer) -> None:
    """The answer under way may be from before the news."""
    with client_of(server) as client:
        assert client.wait_ready(60)
        server.hold.clear()
        reader = threading.Thread(target=client.get_agent_config, args=("other",))
        reader.start()
        wait_until(lambda: server.fetched == ["other"])
        runtime = client._runtime
        assert runtime is not None
        server.rev = 2
        runtime._fetcher.revalidate(["other"])
        server.hold.set()
        reader.join(60)
        wait_until(lambda: client.get_agent_config("other").model == "m2")
        assert server.fetched[:2] == ["other", "other"]


def test_prompts_take_the_same_way(server: MadeUpServer) -> None:
    with client_of(server) as client:
        assert client.wait_ready(60)
        assert client.agent("trader").prompts.system_prompt == "You are trader."


def test_usage_takes_the_same_way(server: MadeUpServer) -> None:
    with client_of(server) as client:
        event_id = client.report_usage("trader", input_tokens=1)
        assert client.flush_usage(60)
    assert [event["event_id"] for event in server.usage] == [event_id]


def test_the_errors_of_a_transport_are_one_family() -> None:
    assert issubclass(Unreachable, TransportError)
    assert issubclass(NotFound, TransportError)
