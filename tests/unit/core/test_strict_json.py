"""JSON as RFC 8259 means it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.strict_json import MAX_DEPTH, Refused, loads


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Not JSON"),
        (b"{", "Not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": -1e999}', "too large"),
        (b'{"a": 1' + b"0" * 400 + b"}", "too large"),
        (b'{"a": 1' + b"0" * 10_000 + b"}", "too large"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'[{"b": {"a": 1, "a": 2}}]', "stands twice"),
        (b'{"a": "\\u0000"}', "null character"),
        (b'{"\\u0000": 1}', "null character"),
        (b'{"a": "\x00"}', "null character"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\\udc00\\ud800"}', "surrogate"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        ('{"a": "é"}'.encode("utf-16"), "UTF-8"),
        ('{"a": "é"}'.encode("utf-32"), "UTF-8"),
        ('{"a": "é"}'.encode("latin-1"), "UTF-8"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deep"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"{'a': 1}", "Not JSON"),
        (b'{"a": 1} x', "Not JSON"),
        (b'{"a": 01}', "Not JSON"),
        (b'{"a": "\n"}', "Not JSON"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_it_refuses_and_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        loads(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"NaN", ""),
        (b"[1, 1e999]", "1"),
        (b'{"a": [{"b": 1}, NaN]}', "a.1"),
        (b'{"a": {"b": 1, "c": "\\u0000"}, "d": NaN}', "a.c"),
        (b'{"a": {"\\ud800": 1}}', "a.\\ud800"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "b.c"),
        (b'{"%s": NaN}' % (b"x" * 1000), "x" * 64),
    ],
)
def test_it_says_where_a_value_stands(body: bytes, field: str) -> None:
    with pytest.raises(Refused) as refused:
        loads(body)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "value",
    [
        {"a": '\U0001f600 \\ud83d " [ { \\'},
        {"a": [1, -1, 0.5, 1e300, True, None]},
        [[[[]]]],
        "text",
        {"deep": json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))},
        {"a": "[" * 200},
    ],
    ids=lambda value: repr(value)[:30],
)
def test_it_reads_what_json_may_hold(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 500_000,
        b'{"a": "' + b"\\\\" * 500_000,
        b'"' * 1_000_001,
        b'["' + b"a" * 1_000_000,
        b'"\\\n' * 250_000,
        b"1" * 1_000_000,
        b"{" + b",".join(b'"%d":0' % key for key in range(50_000)) + b',"49999":0}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_megabyte_of_anything_is_refused_in_no_time(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        loads(body)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_it_agrees_with_the_standard_library_on_all_else(value: Any) -> None:
    text = json.dumps(value)
    if "\\u0000" in text.replace("\\\\", ""):
        with pytest.raises(ValueError, match="null character"):
            loads(text.encode())
    else:
        assert loads(text.encode()) == value
