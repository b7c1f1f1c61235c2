"""Response schemas as JSON Schema: which form is meant, and every kind of bomb."""

import time
from typing import Any

import pytest

from app.core.errors import Invalid
from app.tasks.response_schema import MAX_DEPTH, MAX_SUBSCHEMAS, json_path, measure, normalise

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def nested(levels: int) -> Schema:
    schema: Schema = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def doubling(levels: int) -> Schema:
    """A few lines that amount to 2 ** levels subschemas."""
    definitions: Schema = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 8} for level in range(levels)
    }
    definitions[f"d{levels}"] = {"type": "integer"}
    return {"$ref": "#/$defs/d0", "$defs": definitions}


KEPT: list[Schema] = [
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {"type": "string"},
    {"$schema": DIALECT},
    {"$schema": DIALECT, "properties": {"a": True, "b": False}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
    {"$schema": "https://json-schema.org/draft/2019-09/schema", "dependentSchemas": {"a": {}}},
    {"$ref": "#/$defs/a~1b%25c", "$defs": {"a/b%c": {"type": "string"}}},
    {"$ref": "#/anyOf/1", "anyOf": [True, {"type": "string"}]},
    {"type": "object", "$id": "https://example.com/answer", "properties": {"$id": {}}},
    {"type": "object", "properties": {"type": {"enum": [{"$ref": "#"}]}}},
    {"type": "object", "x-order": 3, "$comment": "extensions stay"},
    nested(MAX_DEPTH),
    doubling(1),
]
REFUSED: list[tuple[Schema, str]] = [
    ({"type": "strin"}, "$.type: 'strin' is none of JSON Schema's types"),
    ({"type": "object", "properties": {"a": {"type": "enum"}}}, "$.properties.a.type: 'enum'"),
    ({"type": "object", "properties": []}, "$.properties: "),
    ({"type": "object", "required": ["a", "a"]}, "$.required: "),
    ({"type": "object", "required": "a"}, "$.required: "),
    ({"type": "string", "minLength": -1}, "$.minLength: "),
    ({"type": "array", "items": [{}]}, "$.items: "),
    ({"type": "string", "format": 3}, "$.format: "),
    ({"$schema": "https://example.com/mine"}, "$.$schema: unknown"),
    ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$.$schema: unknown"),
    ({"$schema": None}, "$.$schema: unknown"),
    ({"$ref": 3}, "$['$ref']: "),
    ({"$ref": "https://example.com/schema.json"}, "$: the reference 'https://example.com"),
    ({"$ref": "file:///etc/passwd"}, "$: the reference 'file:"),
    ({"$ref": "other.json#/a"}, "$: the reference 'other.json"),
    ({"$ref": "#name", "$anchor": "name"}, "$: the reference '#name' leaves"),
    ({"$ref": "#/$defs/missing"}, "$: the reference '#/$defs/missing' points at nothing"),
    ({"$ref": "#/anyOf/7", "anyOf": [True]}, "$: the reference '#/anyOf/7' points at nothing"),
    ({"$ref": "#/title", "title": "x"}, "$: the reference '#/title' points at no schema"),
    ({"type": "object", "properties": {"a": {"$id": "http://x"}}}, "$.properties.a: $id"),
    ({"$schema": DIALECT, "$dynamicRef": "#a"}, "$: $dynamicRef is not supported"),
    ({"type": "object", "$id": "no \n uri"}, "$: "),
    ({"type": "object", "patternProperties": {"(a*)*": {}}}, "$: the pattern '(a*)*'"),
    ({"type": "string", "pattern": "("}, "$: the pattern '(' is refused"),
]
RECURSIVE: list[Schema] = [
    {"$ref": "#"},
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "properties": {"a": {"items": {"$ref": "#/properties/a"}}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#"}}},
    {"type": "string", "$defs": {"unused": {"items": {"$ref": "#/$defs/unused"}}}},
]
TOO_LARGE: list[tuple[Schema, str]] = [
    (nested(MAX_DEPTH + 1), "$" + ".items" * (MAX_DEPTH + 1) + ": nested more than"),
    (nested(5_000), "$: nested more than"),
    (doubling(6), f"$: with its references followed it has more than {MAX_SUBSCHEMAS:,}"),
    ({"type": "object", "allOf": [{}] * 1_100}, "$: with its references followed it has more"),
    ({"type": "object", "title": "é" * 33_000}, "$: larger than 64 KiB"),
    ({"type": "string", "allOf": [{"pattern": "x{600}"}] * 2}, "$.allOf[1]: the patterns'"),
]


@pytest.mark.parametrize("schema", KEPT, ids=lambda schema: str(schema)[:40])
def test_json_schema_is_kept_as_it_is(schema: Schema) -> None:
    assert normalise(schema) is schema


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_no_schema_of_its_own_is_refused_by_its_path(schema: Schema, message: str) -> None:
    assert refusal_of(schema).startswith(message)


@pytest.mark.parametrize("schema", RECURSIVE, ids=lambda schema: str(schema)[:40])
def test_recursive_references_are_refused(schema: Schema) -> None:
    assert "is recursive" in refusal_of(schema)


@pytest.mark.parametrize(("schema", "message"), TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_bombs_are_refused_at_once(schema: Schema, message: str) -> None:
    started = time.process_time()
    assert refusal_of(schema).startswith(message)
    assert time.process_time() - started < 1


def test_a_field_named_type_is_the_short_form() -> None:
    schema = normalise({"type": {"type": "string"}})
    assert schema["properties"] == {"type": {"type": "string"}}


def test_references_count_as_often_as_they_are_followed() -> None:
    text = {"type": "string"}
    definitions = {"text": text}
    once = {"type": "object", "$defs": definitions, "properties": {"a": {"$ref": "#/$defs/text"}}}
    twice = {**once, "items": {"$ref": "#/$defs/text"}}
    assert [measure(schema).subschemas for schema in (text, once, twice)] == [1, 4, 6]


def test_paths_read_like_jsonpath() -> None:
    assert json_path(["orders", 0, "unit price", "it's"]) == "$.orders[0]['unit price'][\"it's\"]"


def refusal_of(schema: Schema) -> str:
    with pytest.raises(Invalid) as refusal:
        normalise(schema)
    (message,) = refusal.value.errors["response_schema"]
    return message
