"""The document: what it refuses, and how two of them differ."""

import json
from typing import Any

import pytest
from marshmallow import fields

from app.core.errors import BadRequest, Invalid
from app.core.rest import Text
from app.transfer import document
from app.transfer.document import Difference, FreeForm, ItemSchema, KeyMarker, Shape

KEY = "sk-canary-document"


class Part(ItemSchema):
    model = Text(max_length=8, required=True)
    api_key = KeyMarker()


class Thing(ItemSchema):
    name = Text(max_length=8, required=True)
    api_key = KeyMarker()
    metadata = FreeForm()
    parts = fields.List(fields.Nested(Part))


SHAPES = (Shape("things", "name", Thing),)


def things(*items: dict[str, Any]) -> dict[str, Any]:
    return {"format_version": 1, "things": list(items)}


def test_what_is_valid_comes_back_without_the_markers() -> None:
    raw = things({"name": "a", "api_key": "set", "parts": [{"model": "m", "api_key": None}]})
    assert document.check(raw, SHAPES) == {"things": [{"name": "a", "parts": [{"model": "m"}]}]}


def test_a_section_that_is_not_there_is_not_there() -> None:
    assert document.check({"format_version": 1}, SHAPES) == {}


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (None, "format_version"),
        ([], "format_version"),
        ({}, "format_version"),
        ({"format_version": 2}, "format_version"),
        ({"format_version": True}, "format_version"),
        ({"format_version": 1, "other": []}, "other"),
        ({"format_version": 1, "things": {}}, "things"),
        ({"format_version": 1, "things": None}, "things"),
        (things({}), "things[0].name"),
        (things({"name": "a"}, {"name": "b", "colour": "red"}), "things[1].colour"),
        (things({"name": "a"}, {"name": "a"}), "things[1].name"),
        (
            things({"name": "a", "parts": [{"model": "m"}, {"model": 1}]}),
            "things[0].parts[1].model",
        ),
        (things({"name": "a", "parts": ["m"]}), "things[0].parts[0]._schema"),
        (things({"name": "a", "api_key": KEY}), "things[0].api_key"),
        (things({"name": "a", "api_key": True}), "things[0].api_key"),
        (
            things({"name": "a", "parts": [{"model": "m", "api_key": KEY}]}),
            "things[0].parts[0].api_key",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path_and_a_key_never_shown(raw: Any, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        document.check(raw, SHAPES)
    assert list(refused.value.errors) == [path]
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("is_json", [True, False])
def test_what_is_written_reads_back(is_json: bool) -> None:
    found = {"things": [{"name": "ä", "metadata": {"b": [1, 2.5, None], "a": "x\ny\n"}}]}
    text = document.write_json(found) if is_json else document.write(found)
    assert document.read(text.encode(), is_json=is_json) == document.with_version(found)


@pytest.mark.parametrize(
    ("body", "is_json"), [(b"{", True), (b"{", False), (b'{"a":1,"a":2}', True)]
)
def test_broken_texts_are_refused(body: bytes, is_json: bool) -> None:
    with pytest.raises(BadRequest):
        document.read(body, is_json=is_json)


def test_json_may_nest_as_deep_as_yaml() -> None:
    deep: Any = 1
    for _ in range(36):
        deep = {"a": deep}
    assert document.read(json.dumps(deep).encode(), is_json=True) == deep
    assert document.read(json.dumps(deep).encode(), is_json=False) == deep


def test_a_difference_names_leaves_and_takes_free_form_as_one() -> None:
    before = {
        "things": [
            {"name": "gone", "metadata": {}},
            {"name": "same", "parts": []},
            {"name": "was", "metadata": {"a.b": 1}, "parts": [{"model": "m"}, {"model": "n"}]},
        ]
    }
    after = {
        "things": [
            {"name": "new", "parts": [{"model": "m", "api_key": None}]},
            {"name": "same", "parts": []},
            {"name": "was", "metadata": {"a": {"b": 1}}, "parts": [{"model": "o"}]},
        ]
    }
    assert document.diff(before, after, SHAPES) == [
        Difference("things", "gone", "delete", {"name": ["gone", None], "metadata": [{}, None]}),
        Difference(
            "things", "new", "create", {"name": [None, "new"], "parts[0].model": [None, "m"]}
        ),
        Difference(
            "things",
            "was",
            "update",
            {
                "metadata": [{"a.b": 1}, {"a": {"b": 1}}],
                "parts[0].model": ["m", "o"],
                "parts[1].model": ["n", None],
            },
        ),
    ]
    assert document.diff(before, before, SHAPES) == []


def test_another_order_of_a_schema_is_a_difference() -> None:
    one = {"things": [{"name": "a", "response_schema": {"x": 1, "y": 2}}]}
    other = {"things": [{"name": "a", "response_schema": {"y": 2, "x": 1}}]}
    assert len(document.diff(one, other, SHAPES)) == 1


def test_free_form_comes_out_in_one_order() -> None:
    dumped = Thing().dump({"name": "a", "metadata": {"b": [{"d": 1, "c": 2}], "a": 0}})
    assert json.dumps(dumped["metadata"]) == '{"a": 0, "b": [{"c": 2, "d": 1}]}'


def test_items_are_alike_whatever_they_say_about_keys() -> None:
    said = {"parts": [{"model": "m"}]}
    assert document.alike("parts", said, {"parts": [{"model": "m", "api_key": "set"}]})
    assert not document.alike("parts", said, {"parts": [{"model": "n", "api_key": "set"}]})
    assert not document.alike("parts", said, {"parts": []})


def test_keys_that_are_missing_here_are_named() -> None:
    raw = things({"name": "a", "api_key": "set"}, {"name": "b", "parts": [{"api_key": "set"}]})
    after = {
        "things": [{"name": "a", "api_key": "set"}, {"name": "b", "parts": [{"api_key": None}]}]
    }
    assert document.missing_keys(raw, after, SHAPES) == [
        "things b: parts[0].api_key has to be entered here."
    ]
