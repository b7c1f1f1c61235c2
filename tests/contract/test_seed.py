"""Row H6: the seeds."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app.accounts.models import User
from app.agents import services as agents
from app.agents.models import Agent
from app.changes.services import read_state
from app.core.db import db
from app.providers.models import Provider
from app.transfer.seed import seed
from tests.conftest import Api

Run = Callable[..., Result]
DEVELOPMENT = {
    "LLM_PROVIDER": "claude",
    "LLM_MODEL": "claude-sonnet",
    "LLM_API_KEY": "sk-seeded-llm",
    "TTS_PROVIDER": "async.ai",
    "TTS_API_KEY": "sk-seeded-tts",
    "TTS_API_URL": "https://tts.example/v1",
    "STT_PROVIDER": "whisper.local",
    "STT_API_URL": "ws://127.0.0.1:9000",
}


@pytest.fixture
def run(app: Flask) -> Run:
    """``run("seed", "--json", LLM_MODEL="m")``."""

    def run(*args: str, **settings: str) -> Result:
        app.config.update(settings)
        return app.test_cli_runner().invoke(args=args)

    return run


def test_set_up_has_made_the_default_agent(api: Api) -> None:
    body = api("GET", "/agents/default").json
    expected = {
        "agent_id": "default",
        "name": "Default Agent",
        "description": "Fallback agent for unconfigured requests",
        "llm_provider": "ollama",
        "llm_model": "mistral:7b-instruct",
        "llm_endpoint": "http://127.0.0.1:11434",
        "is_default": True,
    }
    assert body | expected == body


def test_a_second_seed_changes_nothing(run: Run, app: Flask) -> None:
    with app.app_context():
        before = read_state().rev
    assert json.loads(run("seed", "--json").stdout) == {"made": []}
    with app.app_context():
        assert read_state().rev == before


def test_the_environment_makes_a_development_agent_and_the_default_of_it(
    run: Run, api: Api
) -> None:
    made = json.loads(run("seed", "--json", **DEVELOPMENT).stdout)
    assert made == {"made": ["agent development-agent"]}
    assert api("GET", "/agents/default").json["agent_id"] == "development-agent"
    config = api("GET", "/agents/development-agent/config").json
    llm, tts, stt = (config[f"{kind}_provider_config"] for kind in ("llm", "tts", "stt"))
    assert (llm["provider"], llm["model"]) == ("anthropic", "claude-sonnet")
    assert (llm["api_key"], tts["api_key"], stt["api_key"]) == (
        "sk-seeded-llm",
        "sk-seeded-tts",
        None,
    )
    assert (tts["url"], stt["url"]) == ("https://tts.example/v1", "ws://127.0.0.1:9000")
    assert json.loads(run("seed", "--json", **DEVELOPMENT).stdout) == {"made": []}


def test_a_default_that_somebody_touched_stays(run: Run, api: Api) -> None:
    api("PATCH", "/agents/default", {"description": "ours"})
    run("seed", **DEVELOPMENT)
    assert api("GET", "/agents/default").json["agent_id"] == "default"
    assert api("GET", "/agents/development-agent").json["is_default"] is False


def test_a_provider_that_exists_keeps_its_own_key(run: Run, api: Api) -> None:
    body = {"name": "anthropic", "type": "anthropic", "api_key": "sk-of-the-admin"}
    provider = api("POST", "/providers", body).json
    run("seed", **DEVELOPMENT)
    api("POST", "/agents", {"name": "Other", "llm_provider": "anthropic", "llm_model": "m"})
    assert api("GET", "/agents/other/llm").json["llm_api_key"] == "sk-of-the-admin"
    assert api("GET", "/agents/development-agent/llm").json["llm_api_key"] == "sk-seeded-llm"
    assert api("GET", f"/providers/{provider['id']}").json["version"] == provider["version"]


def test_an_environment_of_another_program_does_not_stop_the_seed(run: Run, api: Api) -> None:
    assert run("seed", LLM_PROVIDER="nobody").exit_code == 0
    assert api("GET", "/agents/development-agent").status_code == 404


def test_missing_configs_are_filled_and_others_skipped(run: Run, api: Api) -> None:
    for name in ("Empty", "Bare"):
        api("POST", "/agents", {"name": name})
    result = run("seed", "--missing-configs", "--provider", "openai", "--model", "gpt-4", "--json")
    assert json.loads(result.stdout) == {"made": ["chain of empty", "chain of bare"]}
    assert api("GET", "/agents/bare/llm").json["llm_model"] == "gpt-4"
    assert api("GET", "/agents/default/llm").json["llm_model"] == "mistral:7b-instruct"
    assert run("seed", "--missing-configs").exit_code == 2
    assert run("seed", "--provider", "openai", "--model", "gpt-4").exit_code == 2


def test_two_seeds_at_once_make_everything_once(app: Flask) -> None:
    app.config.update(DEVELOPMENT)
    with app.app_context():
        _forget_everything()
    failures: list[BaseException] = []

    def race() -> None:
        try:
            with app.app_context():
                seed()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with app.app_context():
        names = sorted(agent.agent_id for agent in db.session.query(Agent))
        assert names == ["default", "development-agent"]
        assert db.session.query(Provider).count() == 4
        default = agents.find_default(None)
        assert default is not None
        assert default.agent_id == "development-agent"


def test_halting_from_the_command_line(run: Run, api: Api) -> None:
    assert run("agents", "halt", "default", "--reason", "night").exit_code == 0
    assert api("GET", "/agents/default").json["halted_reason"] == "night"
    assert run("agents", "resume", "default").exit_code == 0
    assert run("agents", "halt", "--all", "--json").stdout == '{"halted": "all"}\n'
    assert api("GET", "/agents/default/llm").json["halted"] is True
    assert run("agents", "resume", "--all").exit_code == 0
    assert run("agents", "halt").exit_code == 2
    missing = run("agents", "halt", "nobody")
    assert (missing.exit_code, missing.stderr) == (2, "Error: There is no agent 'nobody'.\n")


def _forget_everything() -> None:
    rows: list[Any] = [*db.session.query(Agent), *db.session.query(Provider)]
    for row in rows:
        db.session.delete(row)
    db.session.commit()
    assert db.session.query(User).count() == 1
