"""One table of fields: what it checks is what the documentation says."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.usage.event_fields import FIELDS, REQUIRED, SCHEMA, Event, Rejected, read_event

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "event_id": "e",
    "agent_id": "a",
    "provider": "openai",
    "model": "m",
    "started_at": "2026-03-10T13:00:00+01:00",
    "status": "ok",
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_table_names_every_field_once() -> None:
    names = [field.name for field in FIELDS]
    assert sorted(names) == sorted(Event._fields) == sorted(SCHEMA["properties"])
    assert SCHEMA["required"] == list(REQUIRED)


def test_what_may_be_left_out_may_be_null() -> None:
    optional = {name: None for name in Event._fields if name not in REQUIRED}
    event = read_event(GOOD | optional, NOW)
    assert event == read_event(GOOD, NOW)
    assert event.started_at == NOW
    for name in REQUIRED:
        with pytest.raises(Rejected, match=name):
            read_event(GOOD | {name: None}, NOW)


@given(st.sampled_from(Event._fields), values)
def test_whatever_stands_there_it_is_taken_or_named(name: str, value: Any) -> None:
    try:
        event = read_event(GOOD | {name: value}, NOW)
    except Rejected as reason:
        told = str(reason)
    else:
        told = str(event)
    assert name.partition("_")[0] in told
    told.encode()  # no lone surrogate has come through


@given(values)
def test_whatever_it_is_it_is_an_event_or_refused(raw: Any) -> None:
    with pytest.raises(Rejected):
        read_event(raw, NOW)


def test_the_bounds_are_those_of_the_documentation() -> None:
    for name, schema in SCHEMA["properties"].items():
        if schema["type"] == "integer":
            whole = dict.fromkeys(("input_tokens", "output_tokens"), 2**31 - 1)
            read_event(GOOD | whole | {name: 0 if "1h" in name else schema["minimum"]}, NOW)
            with pytest.raises(Rejected, match=name):
                read_event(GOOD | {name: schema["maximum"] + 1}, NOW)
        elif "maxLength" in schema:
            read_event(GOOD | {name: "x" * schema["maxLength"]}, NOW)
            with pytest.raises(Rejected, match=name):
                read_event(GOOD | {name: "x" * (schema["maxLength"] + 1)}, NOW)


def test_the_same_content_has_the_same_digest() -> None:
    one = read_event(GOOD | {"started_at": "2026-03-10T12:00:00Z"}, NOW)
    assert one.digest == read_event(GOOD | {"input_tokens": 0, "task": None}, NOW).digest
    for name, value in (("model", "n"), ("input_tokens", 1), ("task", "t"), ("attempt", 1)):
        assert read_event(GOOD | {name: value}, NOW).digest != one.digest


@pytest.mark.parametrize(
    ("said", "requests"),
    [
        ({}, 1),
        ({"status": "error"}, 0),
        ({"status": "error", "input_tokens": 1}, 1),
        ({"status": "error", "output_tokens": 1}, 1),
    ],
)
def test_a_call_that_nobody_answered_is_no_request_to_pay(
    said: dict[str, Any], requests: int
) -> None:
    assert read_event(GOOD | said, NOW).usage.requests == requests
