"""First reads, the chain below the server, and many threads at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from switchyard_client import SwitchyardClient, get_client, init_client, shutdown_client

from tests.integration.client.conftest import FAST, HASTY, ClientFactory, Heard
from tests.support.fault_server import Answer, FaultServer, agent, wait_until

NOWHERE = "http://127.0.0.1:9"


def test_a_cold_agent_is_asked_for_once_by_any_number_of_threads(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    server.answers.append(Answer("/api/sync", 500))
    server.hold_reads = threading.Event()
    client = make_client()
    with ThreadPoolExecutor(32) as pool:
        reads = [pool.submit(client.get_agent_config, "trader") for _ in range(32)]
        wait_until(lambda: server.asked("/api/agents/trader/llm"))
        server.hold_reads.set()
        configs = [read.result(60) for read in reads]
    assert {config.source for config in configs} == {"agent"}
    assert server.asked("/api/agents/trader/llm") == 1


def test_a_slow_first_read_goes_on_in_the_background(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    server.answers.append(Answer("/api/sync", 200, body=b"{}"))
    server.hold_reads = threading.Event()
    client = make_client(timings=replace(FAST, first_read=0.05, backoff_min=60, backoff_max=60))
    heard = Heard(client)
    config = client.get_agent_config("trader")
    assert config.source == "built_in"
    server.hold_reads.set()
    wait_until(heard.changes.__len__)
    assert heard.models() == [("trader", "gpt-4.1")]
    assert client.get_agent_config("trader").source == "agent"


def test_the_constructor_and_a_read_are_quick_without_a_server(make_client: ClientFactory) -> None:
    started = time.monotonic()
    client = make_client(url=NOWHERE)
    config = client.get_agent_config("trader")
    assert time.monotonic() - started < 10
    assert (config.source, config.provider, config.model) == (
        "built_in",
        "ollama",
        "mistral:7b-instruct",
    )
    assert (config.endpoint, config.timeout, config.temperature) == (
        "http://127.0.0.1:11434",
        30,
        0.7,
    )
    assert (config.agent_id, config.requested_agent_id) == ("default", "trader")
    wait_until(lambda: client.status == "STALE")
    assert not client.is_connected
    assert client.wait_ready(0.01) is False


def test_the_environment_steps_in(
    make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_LLM_PROVIDER", "openai")
    monkeypatch.setenv("AUTOBOT_LLM_MODEL", "gpt-4.1-mini")
    monkeypatch.setenv("AUTOBOT_LLM_API_KEY", "sk-env")
    config = make_client(url=NOWHERE, env_prefix="AUTOBOT_LLM_").get_agent_config("trader")
    assert (config.source, config.provider, config.model) == (
        "environment",
        "openai",
        "gpt-4.1-mini",
    )
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "sk-env"


def test_url_and_token_come_from_the_environment(
    server: FaultServer, make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_URL", server.url)
    monkeypatch.setenv("SWITCHYARD_TOKEN", "from-environment")
    make_client(url=None, token=None)
    wait_until(lambda: server.requests)
    assert server.requests[0][2]["Authorization"] == "Bearer from-environment"


def test_a_netrc_entry_does_not_replace_the_token(
    server: FaultServer, make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    make_client()
    server.wait_for_stream()
    assert {headers["Authorization"] for _, _, headers in server.requests} == {"Bearer token-1"}


def test_a_stand_in_gives_way_when_the_server_comes(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("default", "small", is_default=True), agent("trader"))
    server.stop()
    client = make_client()
    heard = Heard(client)
    assert client.get_agent_config("trader").source == "built_in"
    assert client.get_agent_config("nobody").source == "built_in"
    server.start()
    wait_until(lambda: len(heard.changes) == 2)
    assert client.get_agent_config("trader").source == "agent"
    assert client.get_agent_config("nobody").source == "default"


def test_a_new_unknown_agent_gets_the_known_default_while_the_server_is_away(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("default", "small", is_default=True))
    client = make_client(timings=HASTY)
    assert client.wait_ready(60)
    server.stop()
    wait_until(lambda: client.status == "STALE")
    config = client.get_agent_config("nobody")
    assert (config.source, config.model, config.requested_agent_id) == (
        "default",
        "small",
        "nobody",
    )


def test_an_agent_the_token_may_not_read_gets_nothing_of_the_server(
    server: FaultServer, make_client: ClientFactory, caplog: pytest.LogCaptureFixture
) -> None:
    server.put(agent("default", "small", is_default=True))
    server.answers.append(Answer("/api/agents/secret", 403))
    client = make_client()
    assert client.wait_ready(60)
    assert client.get_agent_config("secret").source == "built_in"
    assert client.status in ("LIVE", "POLLING")

    def asked_again() -> bool:
        client.get_agent_config("secret")
        return server.asked("/api/agents/secret") >= 3

    wait_until(asked_again)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"a stand-in answers for agent secret: {server.url}/api/agents/secret/llm: 403"]


def test_values_nobody_confirms_are_used_and_asked_for_again(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client = make_client(streaming=False, ttl=0.05, timings=replace(FAST, poll=60))
    assert client.wait_ready(60)
    syncs = server.asked("/api/sync")
    server.put(agent("trader", "gpt-5"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert server.asked("/api/sync") > syncs


def test_a_hit_asks_nobody(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    asked = len(server.requests)
    first = client.get_agent_config("trader")
    assert all(client.get_agent_config("trader") is first for _ in range(1000))
    assert len(server.requests) == asked


@pytest.mark.parametrize("agent_id", ["", ".", "..", " ", "\ud800", "a\n", None, 7])
def test_an_impossible_id_is_the_callers_mistake(
    make_client: ClientFactory, agent_id: object
) -> None:
    client = make_client()
    with pytest.raises(ValueError, match="not an agent id"):
        client.get_agent_config(agent_id)  # type: ignore[arg-type]


def test_an_odd_id_is_asked_for_in_one_path_segment(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("default", "small", is_default=True))
    client = make_client()
    assert client.get_agent_config("../a b?c").source == "default"
    paths = {path for path, _, _ in server.requests if path.startswith("/api/agents")}
    assert paths == {"/api/agents/..%2Fa%20b%3Fc/llm"}


def test_the_shared_client(server: FaultServer) -> None:
    server.put(agent("trader"))
    first = init_client(server.url, token="token-1", timings=FAST)
    try:
        assert get_client() is first
        assert get_client().get_agent_config("trader").source == "agent"
        second = init_client(server.url, token="token-1", timings=FAST)
        assert first.status == "CLOSED"
        assert get_client() is second
    finally:
        shutdown_client()
    shutdown_client()
    assert second.status == "CLOSED"


def test_as_a_context_manager(server: FaultServer) -> None:
    with SwitchyardClient(server.url, token="token-1", timings=FAST) as client:
        assert client.wait_ready(60)
    assert client.status == "CLOSED"
