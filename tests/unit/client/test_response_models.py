"""Models made at run time: they take what the schema takes, and follow its changes."""

import asyncio
import builtins
import threading
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, ValidationError
from switchyard_client import (
    AgentTask,
    ConfigurationError,
)
from switchyard_client._frozen import freeze
from switchyard_client._response_models import response_model
from switchyard_client.testing import TestData

SIGNAL = {
    "type": "object",
    "description": "What to do.",
    "properties": {
        "side": {"enum": ["buy", "sell"]},
        "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": 100},
        "at": {"type": "string", "format": "date-time"},
        "legs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {
                "type": "object",
                "properties": {"price": {"type": "number", "multipleOf": 0.5}},
                "required": ["price"],
                "additionalProperties": False,
            },
        },
        "note": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
    },
    "required": ["side", "size", "legs"],
}
GOOD = {"side": "buy", "size": 2, "legs": [{"price": 1.5}]}


def with_value(**values: Any) -> dict[str, Any]:
    return {**GOOD, **values}


SAMPLES: list[tuple[Mapping[str, Any], Any]] = [
    *[
        (SIGNAL, sample)
        for sample in (
            GOOD,
            with_value(side="hold"),
            with_value(size=0),
            with_value(size=100),
            with_value(size="many"),
            with_value(at="2026-01-01T00:00:00Z"),
            with_value(at="yesterday"),
            with_value(at="2026-01-01T00:00:00"),
            with_value(legs=[]),
            with_value(legs=[{"price": 1}] * 3),
            with_value(legs=[{"price": 0.7}]),
            with_value(legs=[{"price": 1, "other": 1}]),
            with_value(note="x"),
            with_value(note="abcde"),
            with_value(note="AB"),
            with_value(something_else=1),
            {"side": "buy"},
            "no object",
        )
    ],
    ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
    ({"type": "array", "items": {"type": "integer"}}, ["x"]),
    ({"type": "array", "items": {"type": "string", "maxLength": 1}}, ["xy"]),
    ({"type": "string", "enum": ["a"]}, "b"),
    ({"const": 3}, 3),
    ({"const": 3}, 4),
    ({"type": ["string", "null"]}, None),
    ({"type": ["string", "null"]}, 1),
    ({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string"}]}, 4),
    ({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string"}]}, 6),
    ({"oneOf": [{"type": "boolean"}, {"type": "string"}]}, [1]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": "x"}),
    ({"type": "object"}, {"anything": [1]}),
    (
        {"type": "array", "prefixItems": [{"type": "string"}], "items": False, "minItems": 1},
        ["x", 1],
    ),
    ({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "integer"}}}, "x"),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, 1),
    (
        {
            "allOf": [
                {"$ref": "#/$defs/p"},
                {"properties": {"b": {"type": "string"}}, "required": ["b"]},
            ],
            "$defs": {
                "p": {
                    "type": "object",
                    "properties": {"a": {"type": "integer"}},
                    "required": ["a"],
                }
            },
        },
        {"b": "x"},
    ),
    ({"type": "object", "properties": {"x": True}, "required": ["x"]}, {"x": {"y": 1}}),
    ({"type": "object", "properties": {"x": {"enum": [1.5, [2]]}}}, {"x": [2]}),
]


@pytest.mark.parametrize(("schema", "sample"), SAMPLES)
def test_it_takes_what_the_schema_takes(schema: Mapping[str, Any], sample: Any) -> None:
    model = response_model("trade signal", freeze(schema))
    valid = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(sample)
    if valid:
        assert isinstance(model.model_validate(sample), model)
    else:
        with pytest.raises(ValidationError):
            model.model_validate(sample)


def test_a_model_is_named_and_described() -> None:
    model = response_model("trade signal", freeze(SIGNAL))
    assert model.__name__ == "TradeSignalResponse"
    assert model.__doc__ == "What to do."
    answer = model.model_validate(GOOD)
    assert answer.side == "buy"  # type: ignore[attr-defined]
    assert answer.legs[0].price == 1.5  # type: ignore[attr-defined]
    assert answer.note is None  # type: ignore[attr-defined]
    schema = model.model_json_schema()
    assert schema["required"] == ["side", "size", "legs"]


def test_names_that_python_or_pydantic_has_taken_keep_their_spelling_on_the_wire() -> None:
    names = ["json", "class", "model_dump", "with space", "2nd", "_private", "private", "copy"]
    properties = {name: {"type": "integer"} for name in names}
    schema = {"type": "object", "properties": properties, "required": names}
    model = response_model("odd", freeze(schema))
    answer = dict.fromkeys(names, 1)
    assert model.model_validate(answer).model_dump() == answer
    assert set(model.model_json_schema()["properties"]) == set(names)
    assert not set(model.model_fields) & set(dir(BaseModel))


def test_a_default_stands_in_and_what_may_be_left_out_may_be_null() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}}
    model = response_model("n", freeze(schema))
    assert model.model_validate({}).n == 3  # type: ignore[attr-defined]
    assert model.model_validate({"n": None}).n is None  # type: ignore[attr-defined]


def test_a_pattern_that_cannot_run_in_linear_time_is_left_out() -> None:
    model = response_model("x", freeze({"type": "string", "pattern": "^(?=a).*"}))
    assert model.model_validate("b").root == "b"  # type: ignore[attr-defined]


def test_one_class_a_schema_for_any_number_of_threads() -> None:
    found: list[object] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(response_model("race", freeze({"type": "object", "title": "only here"})))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    # 1 and true are one key of a dict, and two enums.
    one = response_model("x", freeze({"enum": [1]}))
    assert one is not response_model("x", freeze({"enum": [True]}))


def test_a_handle_follows_the_schema() -> None:
    data = TestData()
    write(data, ["buy", "sell"])
    with data.client() as client:
        trader = client.agent("trader")
        first = trader.response_model("triage")
        assert trader.response_model("triage") is first
        assert first.model_validate({"side": "sell"})
        write(data, ["hold"])
        second = trader.response_model("triage")
        assert second.model_validate({"side": "hold"})
        with pytest.raises(ValidationError):
            second.model_validate({"side": "sell"})
        with pytest.raises(KeyError, match=r"no task 'other', only \['talk', 'triage'\]"):
            trader.response_model("other")
        with pytest.raises(ValueError, match="no response schema"):
            trader.response_model("talk")


async def on_asyncio(data: TestData) -> type[BaseModel]:
    async with data.async_client() as client:
        return await client.agent("trader").response_model("triage")


def test_the_same_on_asyncio() -> None:
    data = TestData()
    write(data, ["buy"])
    model = asyncio.run(on_asyncio(data))
    assert model.model_validate({"side": "buy"})


def test_without_pydantic_the_error_tells_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name == "pydantic":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigurationError, match=r"pip install 'switchyard-client\[pydantic\]'"):
        response_model("x", {"type": "object"})


def write(data: TestData, sides: list[str]) -> None:
    schema = {"type": "object", "properties": {"side": {"enum": sides}}, "required": ["side"]}
    data.agent(
        "trader",
        tasks=[AgentTask(name="triage", response_schema=freeze(schema)), AgentTask(name="talk")],
    )
