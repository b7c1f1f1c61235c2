"""Row H6: the seed, and the development agent of the environment."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.agents import services as agents
from app.agents.chain import get_agent
from app.core.errors import NotFound
from app.providers.models import Capability
from app.providers.services import create_provider, find_by_name
from app.transfer.seed import seed
from tests.conftest import close_app, make_app
from tests.support.servers import RedisServer

LLM = {"LLM_PROVIDER": "openai", "LLM_MODEL": "gpt-4.1", "LLM_API_KEY": "sk-development"}
Seeded = Callable[..., list[str]]


@pytest.fixture
def seeded(database_url: str, redis: RedisServer) -> Iterator[Seeded]:
    """``seeded(**settings)``: what a seed under these settings makes; its context stays open."""
    made: list[tuple[Flask, Any]] = []

    def run(**settings: Any) -> list[str]:
        app = make_app(database_url, redis.url, **settings)
        context = app.app_context()
        context.push()
        made.append((app, context))
        return seed()

    yield run
    for app, context in reversed(made):
        context.pop()
        close_app(app)


def test_without_its_variables_there_is_no_development_agent(seeded: Seeded) -> None:
    assert seeded() == []
    with pytest.raises(NotFound):
        get_agent("development-agent")


def test_the_environment_makes_a_development_agent(seeded: Seeded) -> None:
    assert seeded(**LLM) == ["agent development-agent"]
    agent = get_agent("development-agent")
    assert (agent.name, agent.is_default) == ("Development Agent", True)
    (step,) = agent.llm_configs
    assert (step.provider.type, step.model_name) == ("openai", "gpt-4.1")
    secret = step.provider.open_api_key()
    assert secret is not None
    assert secret.get_secret_value() == "sk-development"
    assert seed() == []


def test_a_default_that_somebody_changed_stays_the_default(app: Flask, seeded: Seeded) -> None:
    with app.app_context():
        agents.update_agent("default", {"llm_model": "chosen"})
    assert seeded(**LLM) == ["agent development-agent"]
    assert get_agent("development-agent").is_default is False
    assert get_agent("default").is_default is True


def test_what_others_use_is_not_changed(app: Flask, seeded: Seeded) -> None:
    with app.app_context():
        create_provider({"name": "theirs", "type": "openai", "api_key": "sk-theirs"})
    seeded(**LLM, LLM_API_URL="https://dev.example/v1")
    theirs = find_by_name("theirs", Capability.LLM)
    assert theirs is not None
    assert theirs.version == 1
    (step,) = get_agent("development-agent").llm_configs
    assert step.provider is theirs
    secret = step.open_api_key()
    assert (step.endpoint, secret and secret.get_secret_value()) == (
        "https://dev.example/v1",
        "sk-development",
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"LLM_PROVIDER": "nobody", "LLM_MODEL": "m"}, "LLM_PROVIDER"),
        ({"LLM_PROVIDER": "openai"}, "LLM_MODEL"),
        ({**LLM, "TTS_PROVIDER": "nobody"}, "TTS_PROVIDER"),
        ({**LLM, "LLM_API_URL": "localhost:1"}, "LLM_API_URL"),
    ],
)
def test_a_description_that_will_not_do_is_warned_of_by_name(
    seeded: Seeded, caplog: pytest.LogCaptureFixture, settings: dict[str, str], named: str
) -> None:
    assert seeded(**settings) == []
    assert f"no Development Agent is made: {named}:" in caplog.text


def test_ollama_has_a_usual_model(seeded: Seeded) -> None:
    assert seeded(LLM_PROVIDER="ollama") == ["agent development-agent"]
    assert get_agent("development-agent").llm_configs[0].model_name == "mistral:7b-instruct"


def test_a_voice_alone_makes_an_agent_that_is_not_the_default(seeded: Seeded) -> None:
    assert seeded(TTS_PROVIDER="async.ai") == ["agent development-agent"]
    agent = get_agent("development-agent")
    assert (agent.is_default, len(agent.llm_configs), len(agent.speech_configs)) == (False, 0, 1)
