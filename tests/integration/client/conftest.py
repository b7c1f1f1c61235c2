"""A scripted server, and clients that wait milliseconds where real ones wait seconds."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from switchyard_client import AgentConfig, SwitchyardClient, Timings

from tests.support.fault_server import FaultServer, wait_until

FAST = Timings(
    first_read=60.0,
    cold_retry=0.05,
    connect=60.0,
    request=60.0,
    welcome=60.0,
    poll=0.1,
    safety_poll=30.0,
    refresh_gap=0.01,
    backoff_min=0.02,
    backoff_max=0.1,
    snapshot_delay=0.01,
    usage_delay=0.01,
    close=60.0,
)
"""What comes at once takes its time on a busy machine; what is waited for on purpose is short."""

HASTY = replace(FAST, welcome=0.3)
"""For a stream that never comes: the client is to notice soon."""


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
    wait_until(lambda: not client_threads())


def client_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("switchyard-")]


class Heard:
    """A listener that keeps what it was told."""

    def __init__(self, client: SwitchyardClient) -> None:
        self.changes: list[tuple[str, AgentConfig]] = []
        client.on_config_change(lambda agent_id, config: self.changes.append((agent_id, config)))

    def models(self) -> list[tuple[str, str]]:
        return [(agent_id, config.model) for agent_id, config in self.changes]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and a name, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([address, x509.DNSName("switchyard.invalid")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "loopback.pem"
    path.write_bytes(private + signed.public_bytes(pem))
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
