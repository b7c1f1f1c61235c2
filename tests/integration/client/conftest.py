"""A scripted server, and clients that wait milliseconds where real ones wait seconds."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from switchyard_client import AgentConfig, SwitchyardClient, Timings

from tests.support.fault_server import FaultServer

FAST = Timings(
    first_read=2.0,
    cold_retry=0.05,
    connect=2.0,
    request=2.0,
    welcome=0.4,
    poll=0.1,
    safety_poll=30.0,
    refresh_gap=0.01,
    backoff_min=0.02,
    backoff_max=0.1,
    snapshot_delay=0.01,
    close=2.0,
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TOKEN", "SNAPSHOT", "PREVIOUS_TOKEN", "CLIENT_ID"):
        monkeypatch.delenv(f"SWITCHYARD_{name}", raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


ClientFactory = Callable[..., SwitchyardClient]


@pytest.fixture
def make_client(server: FaultServer) -> Iterator[ClientFactory]:
    """Clients of `server`, closed afterwards; no thread of theirs may be left."""
    made: list[SwitchyardClient] = []

    def make(**options: Any) -> SwitchyardClient:
        client = SwitchyardClient(
            options.pop("url", server.url),
            **{"token": "token-1", "timings": FAST} | options,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("switchyard-")]


class Heard:
    """A listener that keeps what it was told."""

    def __init__(self, client: SwitchyardClient) -> None:
        self.changes: list[tuple[str, AgentConfig]] = []
        client.on_config_change(lambda agent_id, config: self.changes.append((agent_id, config)))

    def models(self) -> list[tuple[str, str]]:
        return [(agent_id, config.model) for agent_id, config in self.changes]
