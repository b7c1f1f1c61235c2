"""The short form of a response schema, ``{"category": {"type": "string"}}``, as JSON Schema. Pure.

Eight types, nested as deep as one likes; every field is required unless it says otherwise.
"""

from collections.abc import Callable
from typing import Any

from app.core.errors import Invalid

FIELD = "response_schema"
_NOTES = frozenset({"title", "description", "default", "examples"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
KEYWORDS = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format", "enum"}),
    "number": _BOUNDS | {"enum"},
    "integer": _BOUNDS | {"enum"},
    "boolean": frozenset[str](),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"properties"}),
    "enum": frozenset({"values"}),
    "date-time": frozenset[str](),
}
"""What each of the eight types takes beside notes and ``required``."""


def to_json_schema(fields: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema that a short form stands for. Raises Invalid, naming the path."""
    return _object(fields, "$")


def refuse(path: str, message: str) -> Invalid:
    """What to raise about a place in a response schema."""
    return Invalid.field(FIELD, f"{path}: {message}")


def step_into(path: str, name: str | int) -> str:
    """The path of a member, as JSONPath writes it."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{name!r}]"


def _object(fields: Any, path: str) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise refuse(path, "the fields are an object: name -> what it is")
    properties = {name: _field(spec, step_into(path, name)) for name, spec in fields.items()}
    required = [name for name, spec in fields.items() if spec.get("required", True)]
    return {"type": "object", "properties": properties, "required": required}


def _field(spec: Any, path: str) -> dict[str, Any]:
    kind = spec.get("type") if isinstance(spec, dict) else None
    if not isinstance(kind, str) or kind not in KEYWORDS:
        raise refuse(
            path,
            f"a field is an object whose type is one of {', '.join(KEYWORDS)}"
            ' (JSON Schema says so with "type", "$schema" or "$ref" at its top)',
        )
    unknown = sorted(spec.keys() - KEYWORDS[kind] - _NOTES - {"type", "required"})
    if unknown:
        raise refuse(path, f"{kind} does not take {', '.join(map(repr, unknown))}")
    if not isinstance(spec.get("required", True), bool):
        raise refuse(path, "required is true or false here; JSON Schema lists names")
    rest = {name: value for name, value in spec.items() if name not in {"type", "required"}}
    return _WRITERS.get(kind, _plain)(kind, rest, path)


def _plain(kind: str, rest: dict[str, Any], _path: str) -> dict[str, Any]:
    return {"type": kind, **rest}


def _date_time(_kind: str, rest: dict[str, Any], _path: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", **rest}


def _array(kind: str, rest: dict[str, Any], path: str) -> dict[str, Any]:
    if "items" in rest:
        rest["items"] = _field(rest["items"], step_into(path, "items"))
    return {"type": kind, **rest}


def _nested(kind: str, rest: dict[str, Any], path: str) -> dict[str, Any]:
    if "properties" not in rest:
        return {"type": kind, **rest}
    return _object(rest.pop("properties"), step_into(path, "properties")) | rest


def _enum(_kind: str, rest: dict[str, Any], path: str) -> dict[str, Any]:
    values = rest.pop("values", None)
    if not isinstance(values, list) or not values:
        raise refuse(path, "an enum names its values in a list")
    if any(isinstance(value, list | dict) for value in values):
        raise refuse(path, "the values of an enum are texts, numbers, true, false or null")
    if len({(type(value), value) for value in values}) < len(values):
        raise refuse(path, "a value stands twice")
    kind = {"type": "string"} if all(isinstance(value, str) for value in values) else {}
    return {**kind, "enum": values, **rest}


_Writer = Callable[[str, dict[str, Any], str], dict[str, Any]]
_WRITERS: dict[str, _Writer] = {
    "array": _array,
    "object": _nested,
    "enum": _enum,
    "date-time": _date_time,
}
