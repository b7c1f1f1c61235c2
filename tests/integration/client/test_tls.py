"""The same over TLS: trusted, distrusted, and told not to look."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client.conftest import ClientFactory
from tests.support.addresses import resolve
from tests.support.fault_server import FaultServer, agent, wait_until


@pytest.fixture
def server(server_tls: ssl.SSLContext) -> Iterator[FaultServer]:
    with FaultServer(tls=server_tls) as running:
        yield running


def test_a_named_bundle_is_trusted_by_reads_and_stream(
    server: FaultServer, make_client: ClientFactory, certificate: Path
) -> None:
    server.put(agent("trader"))
    client = make_client(verify=str(certificate))
    server.wait_for_stream()
    server.put(agent("trader", "gpt-5"))
    wait_until(lambda: client.get_agent_config("trader").model == "gpt-5")
    assert client.status == "LIVE"


def test_the_bundle_of_the_environment_is_trusted(
    server: FaultServer,
    make_client: ClientFactory,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    client = make_client()
    server.wait_for_stream()
    assert client.wait_ready(60)


def test_a_name_with_its_last_dot_is_the_one_in_the_certificate(
    server: FaultServer,
    make_client: ClientFactory,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, "127.0.0.1")
    url = f"https://switchyard.invalid.:{server.port}"
    client = make_client(url=url, verify=str(certificate))
    wait_until(lambda: client.status == "LIVE")


def test_a_stranger_is_not_told_the_token(server: FaultServer, make_client: ClientFactory) -> None:
    client = make_client()
    wait_until(lambda: client.status == "STALE")
    assert server.requests == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # urllib3 says so each time
def test_verification_can_be_switched_off(server: FaultServer, make_client: ClientFactory) -> None:
    server.put(agent("trader"))
    client = make_client(verify=False)
    server.wait_for_stream()
    assert client.get_agent_config("trader").source == "agent"
