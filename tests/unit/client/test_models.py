"""What callers hold: frozen, masked, comparable."""

import copy
import json
import pickle
import tomllib
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal

import pytest
import switchyard_client
from switchyard_client import AgentConfig, LLMStep, Prices, Secret
from switchyard_client._frozen import freeze, thaw
from switchyard_client._transport import USER_AGENT

from tests.support.processes import ROOT

KEY = "sk-very-secret"


@pytest.fixture
def config() -> AgentConfig:
    return AgentConfig(
        agent_id="a",
        requested_agent_id="a",
        provider="openai",
        model="m",
        api_key=Secret(KEY),
        api_key_id="k1",
        metadata=freeze({"desk": {"names": ["x", "y"]}}),
        prices=Prices(cost_per_1k_input_tokens=Decimal("0.000003625")),
        fallbacks=(LLMStep(provider="ollama", model="f", api_key=Secret(KEY)),),
    )


def test_the_public_names() -> None:
    assert switchyard_client.__all__ == [
        "Agent",
        "AgentConfig",
        "AgentHalted",
        "AgentTask",
        "AllAttemptsFailed",
        "AsyncAgent",
        "AsyncSwitchyardClient",
        "Attempt",
        "BudgetBlocked",
        "ConfigurationError",
        "FailedAttempt",
        "LLMStep",
        "Prices",
        "Prompts",
        "Reason",
        "Secret",
        "SpeechConfig",
        "Status",
        "SwitchyardClient",
        "SwitchyardError",
        "Timings",
        "TransportError",
        "UnparsableReply",
        "Usage",
        "get_client",
        "init_client",
        "shutdown_client",
    ]
    assert all(getattr(switchyard_client, name).__doc__ for name in switchyard_client.__all__)


def test_the_release_is_the_wheels() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    assert switchyard_client.__version__ == project["version"]
    assert f"switchyard-client/{project['version']}" == USER_AGENT


def test_a_key_never_shows_itself(config: AgentConfig) -> None:
    shown = [
        repr(config),
        str(config),
        f"{config.api_key}",
        f"{config.api_key!r:>30}",
        f"{config.api_key:>30}",
        "%s" % config.api_key,  # noqa: UP031  # logging formats like this
        str(config.to_dict()),
        json.dumps(config.to_dict()),
        str(pickle.dumps(config)),
        str(vars(type(config.api_key))),
    ]
    assert all(KEY not in text for text in shown)


def test_a_key_is_told_to_who_asks(config: AgentConfig) -> None:
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == KEY
    assert config.to_dict(reveal_keys=True)["api_key"] == KEY
    assert config.to_dict(reveal_keys=True)["fallbacks"][0]["api_key"] == KEY


def test_a_pickled_key_is_masked_and_gives_no_wrong_key(config: AgentConfig) -> None:
    travelled = pickle.loads(pickle.dumps(config))
    assert travelled.model == "m"
    assert travelled.metadata == config.metadata
    with pytest.raises(ValueError, match="masked"):
        travelled.api_key.get_secret_value()


def test_secrets_compare_by_value() -> None:
    assert Secret("x") == Secret("x")
    assert hash(Secret("x")) == hash(Secret("x"))
    assert Secret("x") != Secret("y")
    assert Secret("x") != "x"
    assert not Secret("")


def test_a_secret_cannot_be_changed() -> None:
    secret = Secret("x")
    with pytest.raises(AttributeError):
        secret._value = "y"
    with pytest.raises(AttributeError):
        del secret._value
    assert copy.deepcopy(secret) is copy.copy(secret) is secret


def test_a_config_cannot_be_changed(config: AgentConfig) -> None:
    with pytest.raises(FrozenInstanceError):
        config.model = "other"  # type: ignore[misc]
    for change in (
        lambda: config.metadata.update(x=1),
        lambda: config.metadata.__setitem__("x", 1),
        lambda: config.metadata["desk"].pop("names"),
        lambda: config.metadata.clear(),
    ):
        with pytest.raises(TypeError, match="read-only"):
            change()
    assert config.metadata["desk"]["names"] == ("x", "y")


def test_to_dict_is_json_and_ones_own(config: AgentConfig) -> None:
    plain = config.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["prices"]["cost_per_1k_input_tokens"] == "0.000003625"
    assert plain["metadata"] == {"desk": {"names": ["x", "y"]}}
    plain["metadata"]["desk"] = "mine"
    assert config.metadata["desk"] != "mine"


def test_book_keeping_does_not_count(config: AgentConfig) -> None:
    noted = replace(config, rev=9, version=9, config_version=9, provider_status="error")
    assert noted == config
    assert hash(noted) == hash(config)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"source": "default"},
        {"halted": True},
        {"api_key": Secret("other")},
        {"api_key_id": "k2"},
        {"fallbacks": ()},
        {"metadata": freeze({})},
        {"prices": Prices()},
    ],
)
def test_everything_else_counts(config: AgentConfig, change: dict[str, object]) -> None:
    assert replace(config, **change) != config


def test_the_chain_begins_with_the_config_itself(config: AgentConfig) -> None:
    assert [step.model for step in config.steps] == ["m", "f"]


def test_freeze_and_thaw_are_reverse() -> None:
    value = {"a": [1, {"b": [None, "x"]}], "c": {}}
    assert thaw(freeze(value)) == value
    assert copy.deepcopy(freeze(value)) == freeze(value)
