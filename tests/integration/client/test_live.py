"""The stream: changes, gaps, keys, deletions, and what the server is told."""

import threading

from tests.integration.client.conftest import ClientFactory, Heard
from tests.support.fault_server import FaultServer, agent, wait_until


def test_a_change_reaches_readers_and_listeners(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader", "gpt-4.1"))
    client = make_client()
    before = client.get_agent_config("trader")
    assert (before.model, before.source) == ("gpt-4.1", "agent")
    assert before.api_key is not None
    assert before.api_key.get_secret_value() == "sk-one"
    server.wait_for_stream()
    heard = Heard(client)

    rev = server.put(agent("trader", "gpt-5"))

    wait_until(heard.changes.__len__)
    agent_id, config = heard.changes[0]
    assert (agent_id, config.model) == ("trader", "gpt-5")
    assert client.get_agent_config("trader") is config
    assert client.status == "LIVE"
    assert client.is_connected
    assert client.applied_rev == rev
    assert before.model == "gpt-4.1"  # what was handed out never changes
    assert config.api_key == before.api_key  # kept by its id: it did not travel


def test_the_server_learns_what_was_applied(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    make_client(client_id="desk-7")
    stream = server.wait_for_stream()
    rev = server.put(agent("trader", "gpt-5"))
    wait_until(lambda: stream.hellos()[-1]["applied_rev"] == rev)
    hello = stream.hellos()[-1]
    assert hello["client_id"] == "desk-7"
    assert hello["sdk"].startswith("switchyard-client/")
    assert (hello["epoch"], hello["since"]) == (server.epoch, rev)


def test_the_token_travels_in_the_header_only(
    server: FaultServer, make_client: ClientFactory
) -> None:
    make_client(token="token-in-header")
    server.wait_for_stream()
    assert {headers["Authorization"] for _, _, headers in server.requests} == {
        "Bearer token-in-header"
    }
    assert not any("token-in-header" in path + str(query) for path, query, _ in server.requests)


def test_a_missed_change_is_fetched_as_a_delta(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("a"), agent("b"))
    client = make_client()
    stream = server.wait_for_stream()
    missed = server.put(agent("a", "missed"), push=False)
    stream.sent_rev = missed  # the message of this rev got lost on the way
    server.put(agent("b", "seen"))
    wait_until(lambda: client.get_agent_config("b").model == "seen")
    assert client.get_agent_config("a").model == "missed"
    query = [query for path, query, _ in server.requests if path == "/api/sync"][-1]
    assert query["since"] == str(missed - 1)


def test_a_heartbeat_that_tells_of_more_leads_to_a_delta(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("a"))
    client = make_client()
    stream = server.wait_for_stream()
    rev = server.put(agent("a", "missed"), push=False)
    stream.send({"type": "heartbeat", "epoch": server.epoch, "rev": rev, "last": rev})
    wait_until(lambda: client.get_agent_config("a").model == "missed")
    wait_until(lambda: client.status == "LIVE")


def test_another_epoch_replaces_everything(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("kept"), agent("gone"), agent("default", "small", is_default=True))
    client = make_client()
    server.wait_for_stream()
    assert client.get_agent_config("gone").source == "agent"
    server.stop()
    server.epoch, server.rev = "epoch-2", 1
    server.delete("gone", push=False)
    server.put(agent("kept", "new"), push=False)
    server.start()
    wait_until(lambda: client.get_agent_config("kept").model == "new")
    wait_until(lambda: client.get_agent_config("gone").source == "default")
    assert client.get_agent_config("gone").model == "small"


def test_a_batch_is_applied_whole(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("a", "one"), agent("b", "one"))
    client = make_client()
    stream = server.wait_for_stream()
    item = {"epoch": server.epoch, "rev": server.rev + 1, "prev": server.rev}
    item["type"] = "agent_config_changed"
    stream.send(item | {"agent_id": "a", "config": agent("a", "two"), "more": True})
    stream.ping()  # half a batch, and time to apply it wrongly
    assert client.get_agent_config("a").model == "one"
    stream.send(item | {"agent_id": "b", "config": agent("b", "two"), "more": False})
    wait_until(lambda: client.get_agent_config("b").model == "two")
    assert client.get_agent_config("a").model == "two"


def test_a_new_key_is_fetched_and_never_mixed_with_an_old_config(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    seen = set()
    changed = {"llm_api_key": "sk-two", "llm_api_key_id": "key-2"}
    server.put(agent("trader", "gpt-5", **changed))

    def read() -> str:
        config = client.get_agent_config("trader")
        assert config.api_key is not None
        seen.add((config.model, config.api_key.get_secret_value()))
        return config.model

    wait_until(lambda: read() == "gpt-5")
    assert seen <= {("gpt-4.1", "sk-one"), ("gpt-5", "sk-two")}


def test_a_fallback_keeps_its_key_when_it_moves_to_the_front(
    server: FaultServer, make_client: ClientFactory
) -> None:
    spare = agent("x", "spare", llm_api_key="sk-spare", llm_api_key_id="key-spare")
    server.put(agent("trader", fallbacks=[spare]))
    client = make_client()
    server.wait_for_stream()
    syncs = server.asked("/api/sync")
    server.put(spare | {"agent_id": "trader"})
    wait_until(lambda: client.get_agent_config("trader").model == "spare")
    key = client.get_agent_config("trader").api_key
    assert key is not None
    assert key.get_secret_value() == "sk-spare"
    assert server.asked("/api/sync") == syncs


def test_without_the_right_to_secrets_keys_are_none_and_nothing_loops(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.reveals_keys = False
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    syncs = server.asked("/api/sync")
    server.put(agent("trader", "gpt-5", llm_api_key_id="key-2"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    server.put(agent("trader", "gpt-6", llm_api_key_id="key-2"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-6")
    assert client.get_agent_config("trader").api_key is None
    assert server.asked("/api/sync") == syncs + 1


def test_a_deleted_agent_falls_back_to_the_default_and_stays_deleted(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("default", "small", is_default=True), agent("trader"))
    client = make_client()
    assert client.get_agent_config("trader").model == "gpt-4.1"
    server.wait_for_stream()
    heard = Heard(client)
    server.delete("trader")
    wait_until(heard.changes.__len__)
    agent_id, config = heard.changes[0]
    assert (agent_id, config.agent_id, config.source) == ("trader", "default", "default")
    assert client.get_agent_config("trader").model == "small"


def test_an_unknown_agent_follows_the_default(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("default", "small", is_default=True))
    client = make_client()
    config = client.get_agent_config("nobody")
    assert (config.agent_id, config.requested_agent_id) == ("default", "nobody")
    assert (config.source, config.model) == ("default", "small")
    server.wait_for_stream()
    heard = Heard(client)
    server.put(agent("default", "large", is_default=True))
    wait_until(lambda: ("nobody", "large") in heard.models())
    assert client.get_agent_config("nobody").model == "large"


def test_listeners_hear_changes_in_order_and_may_fail(
    server: FaultServer, make_client: ClientFactory
) -> None:
    server.put(agent("trader", "m0"))
    client = make_client()
    server.wait_for_stream()

    @client.on_config_change
    def failing(agent_id: str, config: object) -> None:
        raise RuntimeError("a listener's own trouble")

    heard = Heard(client)
    for number in range(1, 21):
        server.put(agent("trader", f"m{number}"))
    wait_until(lambda: len(heard.changes) == 20)
    assert heard.models() == [("trader", f"m{number}") for number in range(1, 21)]


def test_a_status_turn_alone_is_no_change(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    heard = Heard(client)
    server.put(agent("trader", provider_status="error"))
    wait_until(lambda: client.get_agent_config("trader").provider_status == "error")
    server.put(agent("trader", "gpt-5"))
    wait_until(heard.changes.__len__)
    assert heard.models() == [("trader", "gpt-5")]


def test_a_listener_can_be_taken_off(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    gone: list[str] = []
    off = client.on_config_change(lambda agent_id, config: gone.append(agent_id))
    heard = Heard(client)
    off()
    off()
    server.put(agent("trader", "gpt-5"))
    wait_until(heard.changes.__len__)
    assert gone == []


def test_a_listener_may_close_the_client(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client()
    server.wait_for_stream()
    closed = threading.Event()
    client.on_config_change(lambda agent_id, config: (client.close(), closed.set()))
    server.put(agent("trader", "gpt-5"))
    assert closed.wait(30)
    assert client.status == "CLOSED"
