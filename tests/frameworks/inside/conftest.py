"""Providers of this machine, and a client whose agents run on them."""

import os
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import certifi
import pytest
from switchyard_client import SwitchyardClient
from switchyard_client.testing import TestData

from tests.support.llm_server import INPUT_TOKENS, OUTPUT_TOKENS, LlmServer

KEY = "sk-of-the-step"
QUESTION = [{"role": "user", "content": "ping"}]


@pytest.fixture(autouse=True)
def no_keys_of_a_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here speaks TLS, but every HTTP client made reads all the authorities there are."""
    every = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(every[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture
def first() -> Iterator[LlmServer]:
    with LlmServer("first says") as server:
        yield server


@pytest.fixture
def second() -> Iterator[LlmServer]:
    with LlmServer("second says") as server:
        yield server


@pytest.fixture
def data() -> TestData:
    return TestData()


@pytest.fixture
def client(data: TestData) -> Iterator[SwitchyardClient]:
    with data.client() as client:
        yield client


Chain = Callable[..., None]


@pytest.fixture
def chain(data: TestData, first: LlmServer, second: LlmServer) -> Chain:
    """`chain("openai_compatible", "anthropic")` makes the agent `trader` of these two."""

    def make(*providers: str, agent_id: str = "trader", **values: Any) -> None:
        servers = zip(providers, ("first", "second"), (first, second), strict=False)
        steps = [
            {"provider": provider, "model": f"{name}-model", "endpoint": server.url}
            | {"api_key": KEY, "temperature": 0.25, "max_tokens": 64, "timeout": 20}
            for provider, name, server in servers
        ]
        data.agent(agent_id, **steps[0], fallbacks=steps[1:], **values)

    return make


def counted(event: dict[str, Any]) -> tuple[str, str, int, int]:
    """What a usage event says of an answer."""
    return (
        event["status"],
        event["model"],
        event.get("input_tokens", 0),
        event.get("output_tokens", 0),
    )


FIRST = ("ok", "first-model", INPUT_TOKENS, OUTPUT_TOKENS)
SECOND = ("ok", "second-model", INPUT_TOKENS, OUTPUT_TOKENS)
FAILED = ("error", "first-model", 0, 0)
