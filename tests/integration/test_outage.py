"""A provider is switched off and on again: everybody who should know of it does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from switchyard_client import SwitchyardClient

from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import free_port, wait_until
from tests.support.servers import (
    CeleryWorker,
    RedisServer,
    WebServer,
    celery_worker,
    redis_server,
    server_env,
    web_server,
)


class Stack:
    """What `make up` starts, and an admin who uses it by REST."""

    def __init__(self, web: WebServer, worker: CeleryWorker) -> None:
        self.web = web
        self.worker = worker

    def __call__(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {os.environ['ADMIN_TOKEN']}"}
        url = f"{self.web.url}/api{path}"
        answer = requests.request(method, url, json=body or None, headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[LoopbackProvider]:
    """Takes webhooks, and is an Ollama to fall back on."""
    with LoopbackProvider() as receiver:
        receiver.answer_json({"models": []})
        yield receiver


@pytest.fixture
def primary() -> Iterator[LoopbackProvider]:
    with LoopbackProvider(port=free_port()) as provider:  # still its own when it comes back
        yield provider


@pytest.fixture
def stack(
    tmp_path: Path,
    sqlite_template: Path,
    own_redis: RedisServer,
    receiver: LoopbackProvider,
    primary: LoopbackProvider,
) -> Iterator[Stack]:
    shutil.copyfile(sqlite_template, tmp_path / "switchyard.db")
    env = server_env(
        tmp_path,
        REDIS_URL=own_redis.url,
        HOME=str(tmp_path),
        OUTBOUND_ALLOW=f"{receiver.address},{primary.address}",
        HEALTH_CHECK_INTERVAL="2",
    )
    with (
        web_server(env, tmp_path / "web.log") as web,
        celery_worker(env, tmp_path / "worker.log") as worker,
    ):
        yield Stack(web, worker)


@contextmanager
def connected(stack: Stack) -> Iterator[SwitchyardClient]:
    token = os.environ["ADMIN_TOKEN"]
    client = SwitchyardClient(stack.web.url, token=token, snapshot_path=None)
    try:
        wait_until(lambda: client.is_connected, "the client is on its socket")
        yield client
    finally:
        client.close()


def first_choice(client: SwitchyardClient) -> int:
    """The position that a call begins with: a step in its cooldown is passed over."""
    for attempt in client.attempts("trader"):
        with attempt:
            return attempt.position
    raise AssertionError("nothing was tried")


def test_everybody_learns_of_an_outage_and_of_its_end(
    stack: Stack, receiver: LoopbackProvider, primary: LoopbackProvider
) -> None:
    stack("POST", "/webhooks", name="pager", url=f"{receiver.ollama_url}/hook")
    one = stack("POST", "/providers", name="one", type="vllm", base_url=primary.openai_url)
    agent = {"name": "Trader", "provider_id": one["id"], "model_name": "loop-small"}
    stack("POST", "/agents", **agent)
    two = stack("POST", "/providers", name="two", type="ollama", base_url=receiver.ollama_url)
    fallback = {"provider_id": two["id"], "model_name": "small"}
    stack("POST", "/agents/trader/llm-configs", **fallback)

    def badge() -> str:
        status: str = stack("GET", f"/providers/{one['id']}")["validation_status"]
        return status

    def told(event: str) -> bool:
        return any(
            f'"{event}"' in str(each.body) and '"one"' in str(each.body)
            for each in receiver.requests
        )

    with connected(stack) as client:

        def pushed() -> str:
            return client.get_agent_config("trader").provider_status

        wait_until(lambda: pushed() == "connected", "the client knows that it works")
        assert first_choice(client) == 0

        primary.stop()
        wait_until(lambda: pushed() == "error", "the status is pushed")
        wait_until(lambda: badge() == "error", "the badge turns red")
        wait_until(lambda: told("provider.down"), "the webhook says so")
        assert first_choice(client) == 1, "a dead primary costs a call nothing"

        with LoopbackProvider(port=primary.port):
            wait_until(lambda: pushed() == "connected", "it is back")
            wait_until(lambda: badge() == "connected", "the badge is green")
            wait_until(lambda: told("provider.up"), "the webhook says so")
            assert first_choice(client) == 0
