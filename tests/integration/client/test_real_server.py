"""The client against the real thing: gunicorn, REST writes, and a web process that is killed."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from switchyard_client import BudgetBlocked, SwitchyardClient

from tests.integration.client.conftest import FAST, ClientFactory, Heard
from tests.support.fault_server import wait_until
from tests.support.servers import RedisServer, WebServer, server_env, web_server

TRADER = {
    "agent_id": "trader",
    "name": "Trader",
    "llm_provider": "openai",
    "llm_endpoint": "https://api.openai.com/v1",
    "llm_model": "gpt-4.1",
    "llm_api_key": "sk-first-0123456789",
}


@pytest.fixture
def web(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path, redis: RedisServer
) -> Iterator[WebServer]:
    shutil.copyfile(sqlite_template, tmp_path / "switchyard.db")
    env = server_env(tmp_path, REDIS_URL=redis.url, HOME=str(tmp_path))
    with web_server(env, tmp_path / "web.log", getattr(request, "param", "gthread")) as server:
        yield server


class Admin:
    """Writes by REST."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {os.environ['ADMIN_TOKEN']}"

    def __call__(self, method: str, path: str, **body: Any) -> Any:
        url = f"{self._url}/api{path}"
        answer = self._session.request(method, url, json=body or None, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def admin(web: WebServer) -> Iterator[Admin]:
    admin = Admin(web.url)
    admin("POST", "/agents", **TRADER)
    yield admin
    admin.close()


@pytest.fixture
def client(web: WebServer, admin: Admin, make_client: ClientFactory) -> SwitchyardClient:
    timings = replace(FAST, welcome=10)  # for the test that kills the server
    client = make_client(url=web.url, token=os.environ["ADMIN_TOKEN"], timings=timings)
    wait_until(lambda: client.status == "LIVE")
    return client


def key_of(client: SwitchyardClient) -> str | None:
    key = client.get_agent_config("trader").api_key
    return key and key.get_secret_value()


@pytest.mark.parametrize("web", ["gthread", "gevent"], indirect=True)
def test_a_life_of_changes(client: SwitchyardClient, admin: Admin) -> None:
    config = client.get_agent_config("trader")
    assert (config.source, config.provider, config.model) == ("agent", "openai", "gpt-4.1")
    assert key_of(client) == "sk-first-0123456789"
    heard = Heard(client)

    admin("PATCH", "/agents/trader", llm_model="gpt-5")
    wait_until(lambda: ("trader", "gpt-5") in heard.models())
    assert key_of(client) == "sk-first-0123456789"

    admin("PATCH", "/agents/trader", llm_api_key="sk-second-0123456789")
    wait_until(lambda: key_of(client) == "sk-second-0123456789")

    admin("POST", "/agents/trader/llm-configs", provider="ollama", model_name="small")
    wait_until(lambda: client.get_agent_config("trader").fallbacks)
    assert client.get_agent_config("trader").fallbacks[0].model == "small"

    admin("DELETE", "/agents/trader")
    wait_until(lambda: client.get_agent_config("trader").source == "default")
    wait_until(lambda: heard.changes[-1][1].agent_id == "default")
    assert client.status == "LIVE"


def test_a_handle_follows_prompts_tasks_and_voice(client: SwitchyardClient, admin: Admin) -> None:
    trader = client.agent("trader")
    assert (trader.prompts.system_prompt, trader.tasks, trader.tts) == (None, {}, None)

    admin("PATCH", "/agents/trader", system_prompt="You trade.")
    wait_until(lambda: trader.prompts.system_prompt == "You trade.")

    schema = {"side": {"type": "enum", "values": ["buy", "sell"]}}
    task = admin("POST", "/tasks", name="triage", response_schema=schema)
    admin("POST", "/agents/trader/tasks", task_id=task["id"])
    wait_until(lambda: "triage" in trader.tasks)
    response_schema = trader.tasks["triage"].response_schema
    assert response_schema is not None
    assert response_schema["properties"]["side"]["enum"] == ("buy", "sell")
    answer = trader.response_model("triage").model_validate({"side": "buy"})
    assert answer.model_dump() == {"side": "buy"}

    voice = {"provider": "async.ai", "voice_id": "v1", "api_key": "sk-voice-0123456789"}
    admin("PATCH", "/agents/trader", tts_provider_config=voice)
    wait_until(lambda: trader.tts)
    assert trader.tts is not None
    assert (trader.tts.provider, trader.tts.settings["voice_id"]) == ("async.ai", "v1")
    assert trader.tts.to_dict(reveal_keys=True)["api_key"] == "sk-voice-0123456789"
    assert client.agent("nobody").config.agent_id == "default"
    assert client.agent("nobody").prompts.system_prompt is None


def test_an_unknown_agent_follows_a_new_default(client: SwitchyardClient, admin: Admin) -> None:
    assert client.get_agent_config("nobody").agent_id == "default"
    admin("POST", "/agents/trader/set-default")
    wait_until(lambda: client.get_agent_config("nobody").agent_id == "trader")
    assert client.get_agent_config("nobody").source == "default"


def test_a_killed_server_costs_nothing_but_time(
    web: WebServer, client: SwitchyardClient, admin: Admin
) -> None:
    admin("PATCH", "/agents/trader", llm_model="before")
    wait_until(lambda: client.get_agent_config("trader").model == "before")
    os.killpg(web.pid, signal.SIGKILL)
    wait_until(lambda: client.status == "STALE")
    assert client.get_agent_config("trader").model == "before"
    assert key_of(client) == "sk-first-0123456789"
    web.wait_for_exit(60)
    web.start()
    admin("PATCH", "/agents/trader", llm_model="after")
    wait_until(lambda: client.get_agent_config("trader").model == "after")
    wait_until(lambda: client.status == "LIVE")


def test_a_spent_budget_stops_the_client_within_a_second(
    client: SwitchyardClient, admin: Admin
) -> None:
    limit = {"name": "daily", "scope": "agent", "agent_id": "trader", "period": "day"}
    admin("POST", "/budgets", **limit, block_at="0.002")
    event = {"event_id": "1", "agent_id": "trader", "provider": "openai", "model": "gpt-4.1"}
    now = datetime.now(UTC).isoformat()
    spent = event | {"started_at": now, "status": "ok", "input_tokens": 1000}
    assert admin("POST", "/usage", events=[spent])["accepted"] == 1
    wait_until(lambda: client.get_agent_config("trader").budget_state == "blocked")
    with pytest.raises(BudgetBlocked):
        next(client.attempts("trader"))
    assert client.get_agent_config("market-analyst").budget_state == "ok"
