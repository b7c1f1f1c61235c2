"""What a task's answers look like: a JSON Schema that can be checked in bounded time. Pure.

A schema comes from a caller and runs against samples of callers, so it is measured first: how deep
it is, how many subschemas it amounts to once its references are followed, what its patterns cost.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from app.tasks.patterns import LINEAR, MAX_COST, cost_of
from app.tasks.short_form import refuse, step_into, to_json_schema

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_SUBSCHEMAS = 1_000
DIALECTS = {
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
}
TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
ONE = (
    {"items", "additionalItems", "unevaluatedItems", "contains", "propertyNames"}
    | {"additionalProperties", "unevaluatedProperties", "contentSchema"}
    | {"not", "if", "then", "else"}
)
LISTS = {"allOf", "anyOf", "oneOf", "prefixItems", "items"}
MAPS = {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs"}
MAPS |= {"definitions"}  # where draft 7 has its $defs
"""The keywords that hold one subschema, a list of them, or a mapping of names to them."""
_LONG = ("enum", "const", "required", "dependentRequired", "dependencies")
"""Keywords whose length is work too: each value is compared, each name may be an error."""
_MOVING = ("$dynamicRef", "$recursiveRef", "$id")
"""Keywords that let a reference mean another place than it says."""


@dataclass
class Size:
    """What a schema amounts to with its references followed."""

    subschemas: int = 0
    weight: int = 0
    """Roughly, how many comparisons one value may cost."""
    pattern_cost: int = 0
    chooses: bool = False
    """It has an anyOf or oneOf: one error in there is all errors of all branches."""


def normalise(raw: dict[str, Any]) -> dict[str, Any]:
    """A response schema in either form, as JSON Schema. Raises Invalid, naming the path."""
    _check_bytes(raw)
    schema = raw if is_json_schema(raw) else to_json_schema(raw)
    _check_dialect(schema)
    _check_keywords(schema)
    measure(schema)
    try:
        validator_of(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise refuse("$", shorten(str(error).partition("\n")[0])) from None
    return schema


def is_json_schema(raw: dict[str, Any]) -> bool:
    """Whether it is JSON Schema; else it is the short form."""
    return "$schema" in raw or "$ref" in raw or isinstance(raw.get("type"), str)


def measure(schema: dict[str, Any]) -> Size:
    """How large a valid schema is. Raises Invalid where that is too large, or without an end."""
    size = Size()
    _visit(schema, "$", _Walk(schema, size))
    return size


def validator_of(schema: dict[str, Any], mask: str | None = None) -> jsonschema_rs.Validator:
    """What checks samples: formats too, patterns in linear time, nothing fetched from anywhere.

    ``mask`` stands in its messages for the values that they are about.
    """
    return jsonschema_rs.validator_for(
        schema,
        mask=mask,
        validate_formats=True,
        pattern_options=LINEAR,
        retriever=_fetch_nothing,
    )


def json_path(parts: list[str | int]) -> str:
    """A place, as JSONPath writes it: ``$.orders[0].price``; ``$`` is the whole."""
    path = "$"
    for part in parts:
        path = step_into(path, part)
    return path


def shorten(message: str) -> str:
    """A message of a length that people read."""
    return message if len(message) <= 300 else f"{message[:297]}..."


@dataclass(frozen=True)
class _Walk:
    """Where a walk through a schema is: how deep, and inside of what."""

    root: dict[str, Any]
    size: Size
    depth: int = 0
    inside: frozenset[int] = frozenset()

    def into(self, schema: dict[str, Any]) -> "_Walk":
        return _Walk(self.root, self.size, self.depth + 1, self.inside | {id(schema)})


def _visit(schema: Any, path: str, walk: _Walk) -> None:
    walk.size.subschemas += 1
    if walk.size.subschemas > MAX_SUBSCHEMAS:
        message = f"with its references followed it has more than {MAX_SUBSCHEMAS:,} subschemas"
        raise refuse("$", message)
    if walk.depth > MAX_DEPTH:
        raise refuse(path, f"nested more than {MAX_DEPTH} levels deep")
    if not isinstance(schema, dict):
        return  # true or false
    walk.size.weight += 1 + len(json.dumps([schema[name] for name in _LONG if name in schema])) // 4
    _check_patterns(schema, path, walk.size)
    walk.size.chooses |= "anyOf" in schema or "oneOf" in schema
    for name in _MOVING:
        if name in schema and not (name == "$id" and schema is walk.root):
            raise refuse(path, f"{name} is not supported")
    inner = walk.into(schema)
    for name, subschema in _subschemas(schema):
        _visit(subschema, path + name, inner)
    if "$ref" in schema:
        target = _target(schema["$ref"], path, walk.root)
        if id(target) in inner.inside:
            raise refuse(path, f"the reference {schema['$ref']!r} is recursive")
        _visit(target, path, inner)


def _subschemas(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The subschemas of a schema, each with its path from there."""
    for keyword, value in schema.items():
        if keyword in LISTS and isinstance(value, list):
            for index, subschema in enumerate(value):
                yield f".{keyword}[{index}]", subschema
        elif keyword in MAPS:
            for name, subschema in value.items():
                if not isinstance(subschema, list):  # of names, in draft 7's dependencies
                    yield step_into(step_into("", keyword), name), subschema
        elif keyword in ONE:
            yield f".{keyword}", value


def _target(reference: str, path: str, root: dict[str, Any]) -> Any:
    """What a reference within the schema points at."""
    if reference != "#" and not reference.startswith("#/"):
        message = f"the reference {shorten(reference)!r} leaves the schema: only '#/...' is allowed"
        raise refuse(path, message)
    found: Any = root
    for part in reference.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            raise refuse(path, f"the reference {shorten(reference)!r} points at nothing")
    if not isinstance(found, dict | bool):
        raise refuse(path, f"the reference {shorten(reference)!r} points at no schema")
    return found


def _check_bytes(raw: dict[str, Any]) -> None:
    try:
        length = len(json.dumps(raw, ensure_ascii=False).encode())
    except RecursionError:
        raise refuse("$", f"nested more than {MAX_DEPTH} levels deep") from None
    if length > MAX_BYTES:
        raise refuse("$", f"larger than {MAX_BYTES // 1024} KiB")


def _check_dialect(schema: dict[str, Any]) -> None:
    dialect = schema.get("$schema", "")
    if "$schema" in schema and (
        not isinstance(dialect, str) or dialect.removesuffix("#") not in DIALECTS
    ):
        raise refuse("$.$schema", "unknown; JSON Schema 2020-12, 2019-09 and draft 7 are supported")


def _check_keywords(schema: dict[str, Any]) -> None:
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        message = shorten(error.message)
        if error.instance_path and error.instance_path[-1] == "type":
            message = f"{error.instance!r} is none of JSON Schema's types: {', '.join(TYPES)}"
        raise refuse(json_path(error.instance_path), message) from None


def _check_patterns(schema: dict[str, Any], path: str, size: Size) -> None:
    patterns = [*schema.get("patternProperties", ())]
    if "pattern" in schema:
        patterns.append(schema["pattern"])
    for pattern in patterns:
        try:
            size.pattern_cost += cost_of(pattern)
        except ValueError as error:
            message = f"the pattern {shorten(pattern)!r} is refused: {error}"
            raise refuse(path, message) from None
    if size.pattern_cost > MAX_COST:
        raise refuse(path, f"the patterns' repetitions add up to more than {MAX_COST:,}")


def _fetch_nothing(uri: str) -> Any:
    raise LookupError(f"{uri} is not part of the schema")
