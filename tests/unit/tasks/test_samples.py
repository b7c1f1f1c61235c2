"""Trying samples: what is wrong and where, within bounds of time and size."""

import time
from typing import Any

import pytest

from app.core.errors import Invalid
from app.tasks.response_schema import normalise
from app.tasks.samples import MAX_ERRORS, check_sample

SIGNAL = normalise(
    {
        "side": {"type": "enum", "values": ["buy", "sell"]},
        "at": {"type": "date-time"},
        "orders": {
            "type": "array",
            "items": {"type": "object", "properties": {"unit price": {"type": "number"}}},
        },
        "note": {"type": "string", "required": False},
    }
)


def test_a_right_sample_has_no_errors() -> None:
    sample = {"side": "buy", "at": "2026-02-28T12:00:00+01:00", "orders": [{"unit price": 1}]}
    assert check_sample(SIGNAL, sample) == []


def test_each_error_has_its_path() -> None:
    sample = {"side": "hold", "orders": [{"unit price": 1.5}, {"unit price": "1"}, {}], "note": 3}
    errors = check_sample(SIGNAL, sample)
    assert sorted(error["path"] for error in errors) == [
        "$",
        "$.note",
        "$.orders[1]['unit price']",
        "$.orders[2]",
        "$.side",
    ]
    assert {"path": "$", "message": '"at" is a required property'} in errors


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
        "yesterday",
        "",
    ],
)
def test_date_times_are_really_checked(text: str) -> None:
    errors = check_sample({"type": "string", "format": "date-time"}, text)
    assert [error["path"] for error in errors] == ["$"]


@pytest.mark.parametrize("sample", [None, 1, "x", True, [], [{}]])
def test_a_sample_may_be_any_json(sample: Any) -> None:
    assert [error["path"] for error in check_sample(SIGNAL, sample)] == ["$"]


def test_errors_are_counted_out_and_cut_short() -> None:
    errors = check_sample({"type": "array", "items": {"enum": ["x" * 1000]}}, list(range(60)))
    assert len(errors) == MAX_ERRORS
    assert all(len(error["message"]) <= 300 for error in errors)


def test_large_samples_get_their_first_error_only() -> None:
    schema = {"type": "array", "items": {"allOf": [{"type": "string"}] * 20}}
    errors = check_sample(schema, ["x", *range(2_000)])
    assert [error["path"] for error in errors] == ["$[1]"]


STRINGS = {"type": "array", "items": {"allOf": [{"type": "string"}] * 180}}
SLOW: list[tuple[dict[str, Any], Any]] = [
    ({"type": "array", "anyOf": [STRINGS] * 2}, list(range(500))),
    ({"type": "string", "pattern": "[ab]{0,99}a[ab]{0,99}b[ab]{0,99}ac"}, "ab" * 32_000),
    ({"type": "string", "pattern": r"(\w{0,30}a){9}\d$"}, "ab" * 32_000),
    ({"type": "array", "uniqueItems": True}, [{"a": i} for i in range(5_000)]),
    ({"type": "array", "items": {"multipleOf": 1e-300}}, [1e300] * 8_000),
    ({"type": "array", "items": {"enum": list(range(5_000))}}, list(range(10_000, 10_020))),
    ({"type": "array", "items": {"multipleOf": 3}}, [10**4000] * 10),
]


@pytest.mark.parametrize(("schema", "sample"), SLOW, ids=range(len(SLOW)))
def test_nothing_takes_seconds(schema: dict[str, Any], sample: Any) -> None:
    started = time.process_time()
    check_sample(normalise(schema), sample)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("sample", ["x" * 65_536, list(range(20_000))])
def test_samples_have_a_largest_size(sample: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        check_sample({"type": "string"}, sample)
    assert "KiB" in refusal.value.errors["sample"][0]


@pytest.mark.parametrize(
    "items",
    [
        {"allOf": [{}] * 500},
        {"enum": list(range(5_000))},
        {"required": [f"name-{i}" for i in range(2_000)]},
        {"dependentRequired": {"a": [f"name-{i}" for i in range(2_000)]}},
    ],
    ids=lambda items: next(iter(items)),
)
def test_a_heavy_schema_takes_few_values(items: dict[str, Any]) -> None:
    schema = normalise({"type": "array", "items": items})
    with pytest.raises(Invalid) as refusal:
        check_sample(schema, [{}] * 1_000)
    assert "Too many values" in refusal.value.errors["sample"][0]


def test_errors_of_long_samples_do_not_repeat_them() -> None:
    errors = check_sample({"type": "object", "allOf": [{"type": "array"}] * 3}, "x" * 60_000)
    assert {error["message"].split(" is ")[0] for error in errors} == {"the value"}
