"""Trying a sample answer against a response schema, in bounded time. Pure."""

import json
from itertools import islice
from typing import Any

import jsonschema_rs

from app.core.errors import Invalid
from app.tasks.response_schema import json_path, measure, shorten, validator_of

MAX_BYTES = 64 * 1024
MAX_ERRORS = 50
LONG = 8 * 1024
"""The errors of a longer sample do not repeat its values: every one might repeat all of it."""
MAX_CHECKS = 200_000
"""A schema's weight times the values: more would take seconds, or gigabytes of errors."""
MANY_CHECKS = 20_000
"""From here on the first error has to do, and where branches make even that large, none."""

Error = dict[str, str]


def check_sample(schema: dict[str, Any], sample: Any) -> list[Error]:
    """What is wrong with a sample, each with its path (at most 50). Raises Invalid if too large."""
    length = len(json.dumps(sample, ensure_ascii=False).encode())
    if length > MAX_BYTES:
        raise Invalid.field("sample", f"Larger than {MAX_BYTES // 1024} KiB.")
    size = measure(schema)
    checks = size.weight * _count(sample)
    if checks > MAX_CHECKS:
        raise Invalid.field("sample", "Too many values for a schema as large as this one.")
    validator = validator_of(schema, mask="the value" if length > LONG else None)
    if validator.is_valid(sample):
        return []
    if checks > MANY_CHECKS and size.chooses:
        return [{"path": "$", "message": "Not valid; it is too large to say where."}]
    if checks > MANY_CHECKS:
        return _first_error(validator, sample)
    return [_describe(error) for error in islice(validator.iter_errors(sample), MAX_ERRORS)]


def _count(value: Any) -> int:
    """How many values a value is made of."""
    inner = value.values() if isinstance(value, dict) else value
    return 1 + sum(map(_count, inner)) if isinstance(value, dict | list) else 1


def _first_error(validator: jsonschema_rs.Validator, sample: Any) -> list[Error]:
    try:
        validator.validate(sample)
    except jsonschema_rs.ValidationError as error:
        return [_describe(error)]
    return []


def _describe(error: jsonschema_rs.ValidationError) -> Error:
    return {"path": json_path(error.instance_path), "message": shorten(error.message)}
