"""Short forms of response schemas, and answers that are right by them."""

from datetime import UTC
from typing import Any

from hypothesis import strategies as st

Spec = dict[str, Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
AWKWARD_NAMES = ("class", "model_config", "json", "_hidden", "a b", "self", "Field", "str", "1st")
NAMES = st.one_of(st.sampled_from(AWKWARD_NAMES), st.text("abcdefgh_- é", min_size=1, max_size=6))
LEAVES: st.SearchStrategy[Spec] = st.one_of(
    st.sampled_from(["string", "number", "integer", "boolean", "date-time"]).map(
        lambda kind: {"type": kind}
    ),
    st.lists(TEXT, min_size=1, max_size=4, unique=True).map(
        lambda values: {"type": "enum", "values": values}
    ),
    st.just({"type": "array"}),
    st.just({"type": "object"}),
)


def _deeper(inner: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.dictionaries(NAMES, _maybe_optional(inner), max_size=3).map(
            lambda properties: {"type": "object", "properties": properties}
        ),
    )


def _maybe_optional(specs: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return st.builds(lambda spec, extra: spec | extra, specs, st.sampled_from(EXTRAS))


EXTRAS: list[Spec] = [{}, {"required": True}, {"required": False}, {"description": 'why"""\n'}]
SPECS = st.recursive(LEAVES, _deeper, max_leaves=6)
SHORT_FORMS = st.dictionaries(NAMES, _maybe_optional(SPECS), max_size=5)


def answers_to(fields: dict[str, Spec]) -> st.SearchStrategy[dict[str, Any]]:
    """Answers that the short form ``fields`` allows."""
    required = {name: _values(spec) for name, spec in fields.items() if spec.get("required", True)}
    optional = {name: _values(fields[name]) for name in fields.keys() - required.keys()}
    return st.fixed_dictionaries(required, optional=optional)


def _values(spec: Spec) -> st.SearchStrategy[Any]:
    if spec["type"] == "array":
        return st.lists(_values(spec["items"]) if "items" in spec else TEXT, max_size=3)
    if spec["type"] == "object":
        return answers_to(spec.get("properties", {}))
    if spec["type"] == "enum":
        return st.sampled_from(spec["values"])
    return _PLAIN[spec["type"]]


_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "number": st.floats(-1e9, 1e9),
    "integer": st.integers(-(10**9), 10**9),
    "boolean": st.booleans(),
    "date-time": st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
}
