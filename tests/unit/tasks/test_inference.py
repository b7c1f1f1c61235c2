"""A schema made from a sample: it always fits the sample, and says what a person would say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks.inference import infer_schema
from app.tasks.response_schema import normalise
from app.tasks.samples import check_sample
from tests.unit.tasks.strategies import NAMES, TEXT

STAMPS = st.sampled_from(["2026-11-20T07:00:00Z", "2026-02-30T07:00:00Z", "2026-11-20"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.floats(-9, 9), TEXT, STAMPS)
SAMPLES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)


@given(SAMPLES)
def test_the_schema_is_one_and_fits_its_sample(sample: Any) -> None:
    schema = infer_schema(sample)
    assert check_sample(normalise(schema), sample) == []


def test_fields_keep_their_order_and_what_stands_there_is_required() -> None:
    schema = infer_schema({"signal": "buy", "at": "2026-11-20T07:00:00Z", "confidence": 0.5})
    assert list(schema["properties"]) == schema["required"] == ["signal", "at", "confidence"]
    kinds = [it.get("format") or it["type"] for it in schema["properties"].values()]
    assert kinds == ["string", "date-time", "number"]


def test_what_only_some_items_have_is_optional() -> None:
    items = infer_schema([{"a": 1, "b": "x"}, {"a": 2}])["items"]
    assert (list(items["properties"]), items["required"]) == (["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([1, 2.5], "number"),
        ([1, True], ["integer", "boolean"]),
        ([None, "x"], ["null", "string"]),
        (["2026-11-20T07:00:00Z", "soon"], "string"),
    ],
)
def test_items_of_several_kinds(items: list[Any], expected: Any) -> None:
    assert infer_schema(items)["items"] == {"type": expected}
