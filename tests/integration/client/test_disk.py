"""Last known good on disk."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.client.conftest import FAST, HASTY, ClientFactory, Heard
from tests.support.fault_server import Answer, FaultServer, agent, wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "switchyard.snapshot"


@pytest.fixture
def written(server: FaultServer, make_client: ClientFactory, path: Path) -> Path:
    """The snapshot of a client that has gone, and so has the server."""
    server.put(
        agent("default", "small", is_default=True),
        agent("trader", halted=True, halted_reason="runaway spend"),
    )
    client = make_client(snapshot_path=path)
    assert client.wait_ready(60)
    client.close()
    server.stop()
    return path


def test_it_starts_a_client_without_a_server(written: Path, make_client: ClientFactory) -> None:
    config = make_client(snapshot_path=written).get_agent_config("trader")
    assert (config.source, config.model) == ("snapshot", "gpt-4.1")
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "sk-one"
    assert (config.halted, config.halted_reason) == (True, "runaway spend")


def test_it_has_the_default_for_agents_it_does_not_know(
    written: Path, make_client: ClientFactory
) -> None:
    config = make_client(snapshot_path=written).get_agent_config("nobody")
    assert (config.source, config.model, config.requested_agent_id) == (
        "snapshot",
        "small",
        "nobody",
    )


def test_it_is_private_and_tells_nothing(written: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    content = written.read_bytes()
    for clear in (b"sk-one", b"token-1", b"trader"):
        assert clear not in content
    assert [p.name for p in written.parent.iterdir() if p.name.startswith(".")] == []


def test_it_opens_under_the_previous_token(
    written: Path, make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_PREVIOUS_TOKEN", "token-1")
    client = make_client(token="token-2", snapshot_path=written)
    assert client.get_agent_config("trader").source == "snapshot"


def test_under_another_token_it_is_ignored(written: Path, make_client: ClientFactory) -> None:
    client = make_client(token="token-2", snapshot_path=written)
    assert client.get_agent_config("trader").source == "built_in"


def test_a_refused_token_still_opens_it(
    server: FaultServer, make_client: ClientFactory, written: Path
) -> None:
    server.answers.append(Answer("/api/", 403))
    server.stream = "403"
    server.start()
    client = make_client(snapshot_path=written)
    assert client.get_agent_config("trader").source == "snapshot"
    wait_until(lambda: client.status == "UNAUTHORIZED")
    assert client.get_agent_config("default").source == "snapshot"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"salt": "a", "body": "b"}'])
def test_a_damaged_file_is_ignored(
    written: Path, make_client: ClientFactory, damage: bytes
) -> None:
    written.write_bytes(damage)
    assert make_client(snapshot_path=written).get_agent_config("trader").source == "built_in"


def test_a_changed_body_is_ignored(written: Path, make_client: ClientFactory) -> None:
    content = bytearray(written.read_bytes())
    content[len(content) // 2] ^= 1
    written.write_bytes(content)
    assert make_client(snapshot_path=written).get_agent_config("trader").source == "built_in"


def test_changes_are_written_and_deleted_agents_leave_it(
    server: FaultServer, make_client: ClientFactory, path: Path
) -> None:
    server.put(agent("trader"), agent("gone"))
    client = make_client(snapshot_path=path)
    server.wait_for_stream()
    wait_until(path.exists)
    server.put(agent("trader", "gpt-5"))
    server.delete("gone")
    wait_until(lambda: client.applied_rev == server.rev)
    client.close()
    server.stop()
    heir = make_client(snapshot_path=path)
    assert heir.get_agent_config("trader").model == "gpt-5"
    assert heir.get_agent_config("gone").source == "built_in"


def test_the_server_wins_over_the_disk_when_it_is_back(
    server: FaultServer, make_client: ClientFactory, written: Path
) -> None:
    client = make_client(snapshot_path=written)
    heard = Heard(client)
    assert client.get_agent_config("trader").source == "snapshot"
    server.put(agent("trader", "gpt-5"))
    server.start()
    wait_until(heard.changes.__len__)
    assert heard.models() == [("trader", "gpt-5")]


def test_single_reads_without_a_sync_do_not_replace_it(
    server: FaultServer, make_client: ClientFactory, written: Path
) -> None:
    server.answers.append(Answer("/api/sync", 500))
    server.start()
    client = make_client(snapshot_path=written)
    wait_until(lambda: client.get_agent_config("trader").source == "agent")
    client.close()
    server.stop()
    assert make_client(snapshot_path=written).get_agent_config("nobody").source == "snapshot"


def test_a_revoked_agent_does_not_come_back_from_it(
    server: FaultServer, make_client: ClientFactory, path: Path
) -> None:
    server.put(agent("trader"))
    client = make_client(snapshot_path=path)
    server.wait_for_stream()
    client.close()
    server.stop()
    client = make_client(snapshot_path=path, timings=HASTY)
    assert client.get_agent_config("trader").source == "snapshot"
    server.delete("trader")
    server.start()
    wait_until(lambda: client.get_agent_config("trader").source == "built_in")
    server.stop()
    wait_until(lambda: client.status == "STALE")
    assert client.get_agent_config("trader").source == "built_in"


def test_a_folder_that_is_not_there_harms_nothing(
    server: FaultServer, make_client: ClientFactory, tmp_path: Path
) -> None:
    server.put(agent("trader"))
    client = make_client(snapshot_path=tmp_path / "no" / "folder")
    assert client.get_agent_config("trader").source == "agent"


def test_the_client_id_survives_a_restart(
    server: FaultServer, make_client: ClientFactory, path: Path
) -> None:
    ids = []
    for _ in range(2):
        client = make_client(snapshot_path=path, timings=replace(FAST))
        ids.append(server.wait_for_stream().hellos()[0]["client_id"])
        client.close()
        wait_until(lambda: not server.live_sockets())
    assert len(set(ids)) == 1
