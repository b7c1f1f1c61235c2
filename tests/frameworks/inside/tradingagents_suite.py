"""TradingAgents' config dict: the clients it makes of it, with the key where it looks for one.

The project is not on a package index. What it does with the dict is done here with the packages
that it uses: a chat model of the provider, its key from the environment.
"""

import os
import threading
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from switchyard_client import ConfigurationError, SwitchyardClient
from switchyard_client.integrations.langchain import RecordUsage
from switchyard_client.integrations.tradingagents import KEYS, trading_agents_config
from switchyard_client.testing import TestData

from tests.frameworks.inside.conftest import FAILED, KEY, SECOND, Chain, counted
from tests.support.llm_server import LlmServer

DEFAULT_CONFIG = {
    "llm_provider": "openai",
    "deep_think_llm": "default-deep",
    "quick_think_llm": "default-quick",
    "backend_url": None,
    "temperature": None,
    "max_debate_rounds": 1,
}


def graph(config: dict[str, Any], callbacks: list[Any]) -> tuple[Any, Any]:
    """Both models, made as TradingAgents makes them when a graph is built."""
    provider, url = config["llm_provider"], config["backend_url"]
    kind = ChatAnthropic if provider == "anthropic" else ChatOpenAI
    key = os.environ.get(KEYS.get(provider, "")) or ("ollama" if provider == "ollama" else None)
    if key is None:
        raise ValueError(f"API key for provider '{provider}' is not set")
    options: dict[str, Any] = {"base_url": url, "api_key": key, "callbacks": callbacks}
    if config["temperature"] is not None:
        options["temperature"] = config["temperature"]
    return tuple(
        kind(model=config[f"{depth}_think_llm"], max_retries=0, **options)
        for depth in ("quick", "deep")
    )


@pytest.mark.parametrize(
    ("provider", "called"),
    [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("grok", "xai"),
        ("vllm", "openai_compatible"),
        ("deepseek", "deepseek"),
        ("openrouter", "openrouter"),
        ("groq", "groq"),
        ("mistral", "mistral"),
        ("openai_compatible", "openai_compatible"),
    ],
)
def test_the_key_is_where_it_is_looked_for_and_gone_afterwards(
    client: SwitchyardClient, chain: Chain, first: LlmServer, provider: str, called: str
) -> None:
    chain(provider)
    before = dict(os.environ)
    for attempt in client.attempts("trader"):
        with attempt:
            with trading_agents_config(attempt) as config:
                quick, deep = graph(DEFAULT_CONFIG | config, [])
            assert dict(os.environ) == before
            assert config["llm_provider"] == called
            assert ("temperature" in config) == (provider != "anthropic")  # it takes none any more
            quick.invoke("ping")
            deep.invoke("ping")
    assert [call.body["model"] for call in first.calls] == ["first-model", "first-model"]
    assert {call.key for call in first.calls} == {KEY}


def test_another_agent_thinks_deep(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer, second: LlmServer
) -> None:
    chain("openai_compatible")
    step = {"provider": "openai_compatible", "endpoint": first.url, "api_key": KEY}
    elsewhere = step | {"endpoint": second.url, "model": "elsewhere"}
    data.agent("manager", **elsewhere, fallbacks=[step | {"model": "deep-model"}])
    attempt = next(client.attempts("trader"))
    with trading_agents_config(attempt, client.get_agent_config("manager")) as config:
        assert config == {
            "llm_provider": "openai_compatible",
            "quick_think_llm": "first-model",
            "deep_think_llm": "deep-model",
            "backend_url": first.url,
            "temperature": 0.25,
        }
    data.agent("manager", **elsewhere)
    with (
        pytest.raises(ConfigurationError, match="manager has no step at"),
        trading_agents_config(attempt, client.get_agent_config("manager")),
    ):
        pass


def test_fallback_and_usage(
    client: SwitchyardClient, data: TestData, chain: Chain, first: LlmServer
) -> None:
    chain("openai_compatible", "anthropic")
    first.fail(500)
    said = []
    for attempt in client.attempts("trader", task="trade"):
        with attempt:
            with trading_agents_config(attempt) as config:
                quick, _ = graph(DEFAULT_CONFIG | config, [RecordUsage(attempt)])
            said.append(quick.invoke("ping").content)
    assert said == ["second says"]
    assert [counted(event) for event in data.usage_of("trader", 2)] == [FAILED, SECOND]


def test_what_is_null_is_left_out_and_ollama_has_its_path(
    client: SwitchyardClient, data: TestData
) -> None:
    data.agent("local", provider="ollama", endpoint="http://127.0.0.1:11434", temperature=None)
    data.agent("gemini", provider="google", endpoint="https://google.test/v1beta", api_key=KEY)
    with trading_agents_config(next(client.attempts("local"))) as config:
        assert "temperature" not in config
        assert config["backend_url"] == "http://127.0.0.1:11434/v1"
    with trading_agents_config(next(client.attempts("gemini"))) as config:
        assert config["backend_url"] == "https://google.test"
        assert os.environ["GOOGLE_API_KEY"] == KEY


def test_a_foreign_endpoint_never_gets_the_environments_own_key(
    client: SwitchyardClient, data: TestData, first: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    data.agent("trader", provider="openai", endpoint=first.url)
    with trading_agents_config(next(client.attempts("trader"))) as config:
        quick, _ = graph(DEFAULT_CONFIG | config, [])
    quick.invoke("ping")
    assert first.calls[0].key == "no-key"
    assert os.environ["OPENAI_API_KEY"] == "sk-mine"


def test_two_threads_do_not_see_each_others_key(client: SwitchyardClient, data: TestData) -> None:
    data.agent("one", provider="openai", api_key="sk-one", endpoint="http://one.test/v1")
    data.agent("two", provider="openai", api_key="sk-two", endpoint="http://two.test/v1")
    seen: list[bool] = []

    def make(agent_id: str) -> None:
        for _ in range(50):
            with trading_agents_config(next(client.attempts(agent_id))):
                seen.append(os.environ["OPENAI_API_KEY"] == f"sk-{agent_id}")

    threads = [threading.Thread(target=make, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 100
    assert "OPENAI_API_KEY" not in os.environ
