"""YAML in and out: what is written is read back, and what may not be in a file is refused."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transfer import strict_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
LINES = st.lists(
    st.sampled_from(["", "a: b", " indented", "trailing ", "# no", "'\"", "- x", "😀"])
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | LINES.map("\n".join)
    | st.sampled_from(["yes", "null", "~", "1e3", "0x1F", "12:30", "2026-01-01", "<<", "=", "*a"])
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)


@given(DOCUMENTS)
def test_what_is_written_reads_back(document: Any) -> None:
    text = strict_yaml.dumps(document)
    assert strict_yaml.loads(text.encode()) == document
    assert strict_yaml.dumps(strict_yaml.loads(text.encode())) == text


def test_a_prompt_is_a_block() -> None:
    prompt = "You are 📈\n\n  - careful\n"
    assert strict_yaml.dumps({"prompt": prompt}) == "prompt: |\n  You are 📈\n\n    - careful\n"


def test_an_alias_repeats_what_it_stands_for() -> None:
    assert strict_yaml.loads(b"a: &x {b: 1}\nc: *x\nd: [*x]") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": [{"b": 1}],
    }


def test_dates_and_times_of_day_are_texts() -> None:
    assert strict_yaml.loads(b"[2026-01-01, 12:30, 1:2:3.5]") == ["2026-01-01", "12:30", "1:2:3.5"]


BOMB = "a0: &a0 [x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
TOWER = "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", "Line 3: the key 'a' stands twice"),
        ("a: {b: 1, b: 1}", "stands twice"),
        ("1: 2", "Line 1: a key is text"),
        ("true: 2", "a key is text"),
        ("? [a]\n: 2", "a key is text"),
        ("a: !!python/object/apply:os.getcwd []", "tags are not taken"),
        ("a: !!binary aGVsbG8=", "tags are not taken"),
        ("a: &x [*x]", "nothing is anchored as 'x' so far"),
        ("a: *x", "nothing is anchored as 'x' so far"),
        ("a\n---\nb", "second document"),
        ("[" * 100_000, "nested more than 40 levels"),
        (BOMB, "more than 1000000 values"),
        (TOWER, "nested more than 40 levels"),
        ("a: .nan", "not a finite number"),
        ("a: -.inf", "not a finite number"),
        ("a: 1.0e+999", "not a finite number"),
        ("a: " + "9" * 5000, "more than 300 digits"),
        ('a: "\\0"', "no text"),
        ('a: "\\ud800"', "Not YAML"),
        ("a: \x01", "control character"),
        ("a: b: c", "Not YAML: mapping values are not allowed in this context (line 1)"),
        ("a: 'open", "Not YAML"),
        ("\ta: 1", "Not YAML"),
    ],
)
def test_what_a_file_may_not_have_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        strict_yaml.loads(text.encode())


def test_other_encodings_are_refused() -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        strict_yaml.loads("a: é".encode("latin-1"))


def test_a_bomb_goes_off_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="values"):
        strict_yaml.loads(BOMB.encode())
    assert time.monotonic() - start < 20
