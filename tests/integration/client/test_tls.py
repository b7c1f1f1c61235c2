"""The same over TLS: trusted, distrusted, and told not to look."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.client.conftest import ClientFactory
from tests.support.fault_server import FaultServer, agent, wait_until


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "loopback.pem"
    path.write_bytes(private + signed.public_bytes(pem))
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FaultServer(tls=context) as running:
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
    assert client.wait_ready(5)


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
