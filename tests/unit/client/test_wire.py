"""JSON of the server to configs and back."""

from decimal import Decimal
from typing import Any

import pytest
from switchyard_client._messages import Malformed, parse_json, parse_sync
from switchyard_client._wire import decode_config, encode_config

from tests.support.fault_server import agent, without_keys


def test_every_field_of_a8_arrives() -> None:
    answer = agent(
        "trader",
        requested_agent_id="trader",
        config_version=17,
        rev=20,
        version=3,
        llm_top_p=0.9,
        llm_max_tokens=512,
        metadata={"desk": "fx"},
        halted=True,
        halted_reason="stop",
        is_default=True,
        fallbacks=[agent("x", "spare")],
        from_the_future={"x": 1},
    )
    config = decode_config(answer, requested="trader")
    assert (config.agent_id, config.requested_agent_id, config.source) == (
        "trader",
        "trader",
        "agent",
    )
    assert (config.version, config.config_version, config.rev) == (3, 17, 20)
    assert (config.provider, config.provider_name, config.model) == (
        "openai",
        "openai-eu",
        "gpt-4.1",
    )
    assert config.endpoint == "https://api.openai.com/v1"
    assert (config.timeout, config.temperature) == (30, 0.7)
    assert (config.top_p, config.max_tokens) == (0.9, 512)
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "sk-one"
    assert config.api_key_id == "key-1"
    assert config.provider_status == "connected"
    assert config.metadata == {"desk": "fx"}
    assert config.prices.cost_per_1k_input_tokens == Decimal("0.005")
    assert config.prices.cost_per_1k_output_tokens is None
    assert (config.halted, config.halted_reason, config.is_default) == (True, "stop", True)
    assert [step.model for step in config.fallbacks] == ["spare"]


def test_encode_is_the_reverse_of_decode() -> None:
    config = decode_config(agent("a", fallbacks=[agent("x", "spare")]), requested="b")
    assert decode_config(encode_config(config), requested="b") == config


def test_the_sockets_form_has_no_keys() -> None:
    config = decode_config(without_keys(agent("a", fallbacks=[agent("x")])), requested="a", rev=7)
    assert [step.api_key for step in config.steps] == [None, None]
    assert config.api_key_id == "key-1"
    assert config.rev == 7


def test_repeated_values_are_shared() -> None:
    one, two = (decode_config(agent(name), requested=name) for name in ("a", "b"))
    assert one.endpoint is two.endpoint
    assert one.prices is two.prices
    assert one.metadata is two.metadata
    assert one.agent_id is one.requested_agent_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_id", None),
        ("agent_id", 7),
        ("llm_provider", ""),
        ("llm_model", None),
        ("llm_timeout", "30"),
        ("llm_temperature", True),
        ("llm_temperature", float("inf")),
        ("llm_api_key", 5),
        ("metadata", [1]),
        ("fallbacks", {"a": 1}),
        ("fallbacks", ["x"]),
        ("version", 1.5),
        ("prices", {"cost_per_1k_input_tokens": "abc"}),
        ("prices", {"cost_per_1k_input_tokens": "-1"}),
        ("prices", {"cost_per_1k_input_tokens": "NaN"}),
        ("prices", {"cost_per_1k_input_tokens": 0.1}),
    ],
)
def test_a_wrong_shape_is_named_without_its_value(field: str, value: Any) -> None:
    with pytest.raises(Malformed) as caught:
        decode_config(agent("a") | {field: value}, requested="a")
    assert "sk-one" not in str(caught.value)


@pytest.mark.parametrize("answer", [[], {}, {"epoch": "e", "rev": 1, "intent": "some"}])
def test_an_answer_of_s1_has_a_shape(answer: Any) -> None:
    with pytest.raises(Malformed):
        parse_sync(answer)


def test_an_answer_of_s1_may_carry_types_of_later() -> None:
    items = [
        {"type": "task_changed", "task": 1},
        {"type": {"of": "later"}},
        {"type": "agent_config_changed", "agent_id": "a", "config": agent("a")},
        {"type": "agent_deleted", "agent_id": "b", "config": None},
    ]
    answer = parse_sync({"epoch": "e", "rev": 4, "intent": "changes", "items": items}, "tag")
    assert [(item.agent_id, item.deleted) for item in answer.batch.items] == [
        ("a", False),
        ("b", True),
    ]
    assert (answer.etag, answer.batch.full, answer.batch.has_keys) == ("tag", False, True)


def test_bad_json_is_not_quoted() -> None:
    with pytest.raises(Malformed) as caught:
        parse_json('{"llm_api_key": "sk-one"')
    assert str(caught.value) == "not JSON"
    assert caught.value.__suppress_context__
