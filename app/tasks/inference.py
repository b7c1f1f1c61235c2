"""A response schema guessed from a sample answer, which always fits it. Pure."""

import re
from datetime import datetime
from typing import Any

Schema = dict[str, Any]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def infer_schema(sample: Any) -> Schema:
    """JSON Schema of a sample: what stands in it is required, the items of a list are one kind."""
    return _infer([sample])


def _infer(samples: list[Any]) -> Schema:
    """What all of these are. Of several types each has its own keywords, which leave others be."""
    by_type: dict[str, list[Any]] = {}
    for sample in samples:
        by_type.setdefault(_type_of(sample), []).append(sample)
    if "number" in by_type:
        by_type.pop("integer", None)  # whole numbers are numbers
    types = list(by_type)
    schema: Schema = {"type": types[0] if len(types) == 1 else types}
    if "string" in by_type and all(map(_is_instant, by_type["string"])):
        schema["format"] = "date-time"
    items = [item for sample in by_type.get("array", ()) for item in sample]
    if items:
        schema["items"] = _infer(items)
    if "object" in by_type:
        schema |= _fields(by_type["object"])
    return schema


def _fields(samples: list[dict[str, Any]]) -> Schema:
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    return {
        "properties": {
            name: _infer([sample[name] for sample in samples if name in sample]) for name in names
        },
        "required": [name for name in names if all(name in sample for sample in samples)],
    }


def _type_of(sample: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    kinds |= {list: "array", dict: "object"}
    return kinds.get(type(sample), "null")


def _is_instant(text: str) -> bool:
    if not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
