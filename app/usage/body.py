"""The body of `POST /usage`: read quickly, and one bad value in it spoils its own event only. Pure.

Everywhere else a body with a NaN or a lone surrogate is refused whole. Here 999 other calls would
be lost with it, so the values go on to the checks of the fields, which refuse their event.
"""

import json
from typing import Any

from app.core import strict_json
from app.core.errors import Invalid

MAX_BYTES = 16 * 1024 * 1024
MAX_EVENTS = 1000


class TooMany(ValueError):
    """More events than one batch may have."""


def parse_events(body: bytes) -> list[Any]:
    """The events, not yet looked at. Raises ValueError where it is no JSON, Invalid, TooMany."""
    try:
        data = json.loads(body.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        data = strict_json.loads(body)  # says what is wrong
    if not isinstance(data, dict) or not isinstance(data.get("events"), list) or len(data) != 1:
        _refuse(strict_json.loads(body))
    events: list[Any] = data["events"]
    if len(events) > MAX_EVENTS:
        raise TooMany(f"At most {MAX_EVENTS} events a batch, not {len(events)}.")
    return events


def _refuse(data: Any) -> None:
    if not isinstance(data, dict):
        raise Invalid.field("_schema", "Invalid input type.")
    errors = {name: ["Unknown field."] for name in data if name != "events"}
    if "events" not in data:
        errors["events"] = ["Missing data for required field."]
    elif not isinstance(data["events"], list):
        errors["events"] = ["Not a list."]
    raise Invalid(errors)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
