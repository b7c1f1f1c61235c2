"""The short form: all eight types, what is required, and what it refuses."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.tasks.response_schema import normalise
from app.tasks.samples import check_sample
from tests.unit.tasks.strategies import SHORT_FORMS, answers_to


def test_every_type_becomes_json_schema() -> None:
    fields: dict[str, Any] = {
        "text": {"type": "string", "minLength": 1, "description": "a word"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "count": {"type": "integer", "required": False},
        "sure": {"type": "boolean", "required": True},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "where": {
            "type": "object",
            "properties": {"lat": {"type": "number"}, "on": {"type": "boolean", "required": False}},
        },
        "side": {"type": "enum", "values": ["buy", "sell"]},
        "mixed": {"type": "enum", "values": ["all", 3, None]},
        "at": {"type": "date-time"},
    }
    assert normalise(fields) == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "description": "a word"},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "count": {"type": "integer"},
            "sure": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "where": {
                "type": "object",
                "properties": {"lat": {"type": "number"}, "on": {"type": "boolean"}},
                "required": ["lat"],
            },
            "side": {"type": "string", "enum": ["buy", "sell"]},
            "mixed": {"enum": ["all", 3, None]},
            "at": {"type": "string", "format": "date-time"},
        },
        "required": ["text", "score", "sure", "tags", "where", "side", "mixed", "at"],
    }


@given(SHORT_FORMS)
def test_what_comes_out_stays_as_it_is(fields: dict[str, Any]) -> None:
    schema = normalise(fields)
    assert normalise(schema) == schema
    assert list(schema["properties"]) == list(fields)


@given(st.data())
def test_a_right_answer_is_valid(data: st.DataObject) -> None:
    fields = data.draw(SHORT_FORMS)
    schema = normalise(fields)
    assert check_sample(schema, data.draw(answers_to(fields))) == []


@given(st.data())
def test_an_answer_without_a_required_field_is_not(data: st.DataObject) -> None:
    fields = data.draw(SHORT_FORMS)
    schema = normalise(fields)
    assume(schema["required"])
    answer = data.draw(answers_to(fields))
    missing = data.draw(st.sampled_from(schema["required"]))
    del answer[missing]
    assert [error["path"] for error in check_sample(schema, answer)] == ["$"]


REFUSED: list[tuple[Any, str]] = [
    ({"a": "string"}, "$.a: a field is an object"),
    ({"a": None}, "$.a: a field is an object"),
    ({"a": {}}, "$.a: a field is an object"),
    ({"a": {"type": "text"}}, "$.a: a field is an object"),
    ({"a": {"type": ["string", "null"]}}, "$.a: a field is an object"),
    ({"a": {"anyOf": []}}, "$.a: a field is an object"),
    ({"a": {"type": "string", "minLenght": 3}}, "$.a: string does not take 'minLenght'"),
    ({"a": {"type": "string", "items": {}}}, "$.a: string does not take 'items'"),
    ({"a": {"type": "string", "required": "yes"}}, "$.a: required is true or false"),
    ({"a": {"type": "object", "required": ["b"]}}, "$.a: required is true or false"),
    ({"a": {"type": "array", "items": {"type": "x"}}}, "$.a.items: a field is an object"),
    ({"a": {"type": "object", "properties": []}}, "$.a.properties: the fields are an object"),
    ({"a b": {"type": "object", "properties": {"c": 1}}}, "$['a b'].properties.c: a field is"),
    ({"a": {"type": "enum"}}, "$.a: an enum names its values"),
    ({"a": {"type": "enum", "values": []}}, "$.a: an enum names its values"),
    ({"a": {"type": "enum", "values": "buy"}}, "$.a: an enum names its values"),
    ({"a": {"type": "enum", "values": [["x"]]}}, "$.a: the values of an enum"),
    ({"a": {"type": "enum", "values": ["x", "x"]}}, "$.a: a value stands twice"),
    ({"a": {"type": "string", "minLength": -1}}, "$.properties.a.minLength: -1 is less"),
    ({"a": {"type": "number", "minimum": "0"}}, "$.properties.a.minimum:"),
    ({"a": {"type": "string", "pattern": "(a+)+"}}, "$.properties.a: the pattern '(a+)+'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_it_does_not_know_is_refused_by_its_path(fields: Any, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        normalise(fields)
    (found,) = refusal.value.errors["response_schema"]
    assert found.startswith(message)
