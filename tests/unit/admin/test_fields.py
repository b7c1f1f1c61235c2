"""Forms to payloads, errors back to fields, and where two forms differ."""

from typing import Any

import pytest
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, FieldList, Form, FormField, SelectField

from app.admin.fields import (
    UNREAD,
    ChoiceField,
    IdField,
    JsonField,
    KeyField,
    LineField,
    ProseField,
    RealField,
    ResourceForm,
    WholeField,
    choices,
    differences,
    key_payload,
    show_errors,
)


class PartForm(Form):
    """A row of the list below."""

    id = IdField()
    provider_id = ChoiceField("Provider", choices=choices([("", "none"), (1, "one"), (2, "two")]))
    ratio = RealField("Ratio", low=0, high=1)


class WholeForm(ResourceForm):
    """One field of each kind."""

    name = LineField("Name")
    prose = ProseField("Prose")
    kind = SelectField("Kind", choices=choices([("a", "Alpha"), ("b", "Beta")]))
    count = WholeField("Count", low=0, high=9)
    api_key = KeyField("Key")
    clear_api_key = BooleanField("Clear")
    metadata_ = JsonField("Metadata")
    parts = FieldList(FormField(PartForm), label="Parts")


def posted(**fields: str) -> WholeForm:
    return WholeForm(MultiDict({"kind": "a", **fields}))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({}, UNREAD),
        ({"version": ""}, UNREAD),
        ({"version": "-1"}, UNREAD),
        ({"version": "²"}, UNREAD),
        ({"version": "9" * 5000}, UNREAD),
        ({"version": "7"}, 7),
    ],
)
def test_a_version_that_was_not_read_is_no_version(sent: dict[str, str], read: int) -> None:
    assert posted(**sent).version.data == read


def test_text_is_trimmed_prose_is_not_and_nothing_is_none() -> None:
    form = posted(name="  x ", prose=" a\r\nb ")
    assert (form.name.data, form.prose.data) == ("x", " a\nb ")
    form = posted(name="  ", prose="")
    assert (form.name.data, form.prose.data) == (None, None)


@pytest.mark.parametrize(
    ("sent", "payload"),
    [
        ({}, {}),
        ({"api_key": " "}, {}),
        ({"api_key": " sk "}, {"api_key": "sk"}),
        ({"clear_api_key": "y"}, {"api_key": None}),
        ({"api_key": "sk", "clear_api_key": "y"}, {"api_key": "sk"}),
    ],
)
def test_a_key_is_sent_cleared_or_left_alone(sent: dict[str, str], payload: Any) -> None:
    assert key_payload(posted(**sent)) == payload


def test_a_key_is_never_rendered() -> None:
    form = posted(api_key="sk-canary")
    form.validate()
    assert "sk-canary" not in form.api_key()


@pytest.mark.parametrize("text", ["{", "[]", "1", '"x"', '{"a": NaN}', "[" * 99, '{"a":1,"a":2}'])
def test_json_is_an_object_under_the_rules_of_rest(text: str) -> None:
    form = posted(metadata_=text)
    assert not form.validate()
    assert form.metadata_.errors
    assert form.metadata_._value() == text, "what was typed stays to be mended"


def test_json_left_empty_is_an_empty_object() -> None:
    form = posted(metadata_=" ")
    assert form.validate()
    assert form.metadata_.data == {}


def test_a_null_character_is_refused_beside_its_field() -> None:
    form = posted(name="a\x00b", prose="\x00")
    assert not form.validate()
    assert set(form.errors) == {"name", "prose"}


def test_errors_find_their_fields_by_the_names_of_the_wire() -> None:
    form = posted(**{"parts-0-id": "", "parts-1-id": "", "parts-1-ratio": "0.5"})
    form.validate()
    homeless = show_errors(
        form,
        {
            "name": ["taken"],
            "metadata": ["bad"],
            "parts": {1: {"ratio": ["too big"], "provider": ["unknown"]}},
            "parts.0.ratio": ["too small"],
            "parts.0.id": ["gone"],
            "parts.7.ratio": ["nowhere"],
            "surprise": ["what"],
        },
    )
    first, second = form.parts.entries
    assert form.name.errors == ["taken"]
    assert form.metadata_.errors == ["bad"]
    assert second.form.ratio.errors == ["too big"]
    assert second.form.provider_id.errors == ["unknown"]
    assert first.form.ratio.errors == ["too small"]
    assert homeless == ["parts.0.id: gone", "parts.7.ratio: nowhere", "surprise: what"]


def test_differences_speak_as_people_do_and_say_nothing_of_keys() -> None:
    mine = posted(name="mine", kind="b", api_key="sk-canary", version="1")
    theirs = posted(name="theirs", kind="a", version="2", metadata_='{"a": 1}')
    assert differences(mine, theirs) == [
        ("Name", "theirs", "mine"),
        ("Kind", "Alpha", "Beta"),
        ("Metadata", '{"a": 1}', "{}"),
    ]


def test_differences_show_the_rows_of_a_list() -> None:
    mine = posted(**{"parts-0-provider_id": "2", "parts-0-ratio": "0.5"})
    theirs = posted(**{"parts-0-provider_id": "1", "parts-1-ratio": "1"})
    assert differences(mine, theirs) == [
        ("Parts", "1. Provider one\n2. Provider none; Ratio 1.0", "1. Provider two; Ratio 0.5")
    ]
