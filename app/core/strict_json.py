"""JSON as RFC 8259 means it: what the standard library lets pass and databases do not take."""

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_DIGITS = 300  # of an integer; a double ends a little later
# Possessive, and with the closing quote optional: an open string of a megabyte is read once.
_BRACKETS_AND_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def loads(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a request body.

    Raises ValueError, saying why, on anything but UTF-8; on NaN, Infinity and numbers too large for
    a double; on duplicate keys, deep nesting, null characters and lone surrogates.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    _check_depth(text, max_depth)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse,
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"Not JSON: {error.msg} (line {error.lineno}).") from None
    return value


def _check_depth(text: str, max_depth: int) -> None:
    depth = 0
    for match in _BRACKETS_AND_STRINGS.finditer(text):
        found = match.group()
        if found.startswith('"'):
            _check_text(found)
        else:
            depth += 1 if found in "[{" else -1
            if depth > max_depth:
                raise ValueError(f"Nested more than {max_depth} levels deep.")


def _check_text(quoted: str) -> None:
    try:
        text = json.loads(quoted) if "\\" in quoted else quoted
    except json.JSONDecodeError:
        return  # the parser says it better
    if "\x00" in text:
        raise ValueError("A null character is not allowed in text.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("A lone surrogate is not a character.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"The key {twice[:64]!r} stands twice.")
    return result


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number.")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("A number is too large.")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("A number is too large.")
    return int(text)
