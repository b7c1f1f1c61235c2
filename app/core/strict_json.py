"""JSON as RFC 8259 means it: what the standard library lets pass and databases do not take."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 32
MAX_DIGITS = 300  # of an integer; a double ends a little later
MAX_NAME = 64  # characters of a key, where one is named
# Possessive, and with the closing quote optional: an open string of a megabyte is read once.
_BRACKETS_AND_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Refused(ValueError):
    """JSON, but with a value that is not taken. ``field`` is where it stands, as ``metadata.a.0``,
    or empty for the body itself; ``reason`` is one sentence."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def loads(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a request body.

    Raises ValueError, saying why, on anything but UTF-8 and on deep nesting; Refused, naming the
    field, on NaN, Infinity and numbers too large for a double, on duplicate keys, null characters
    and lone surrogates.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    parser = _Parser(has_flaw=_has_flawed_text(text, max_depth))
    try:
        value = json.loads(
            text,
            object_pairs_hook=parser.object,
            parse_constant=parser.constant,
            parse_float=parser.float,
            parse_int=parser.integer,
            strict="\0" not in text,  # inside a string it is a flaw, which has a field to name
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"Not JSON: {error.msg} (line {error.lineno}).") from None
    if parser.has_flaw:
        _refuse(value, [])
    return value


def _has_flawed_text(text: str, max_depth: int) -> bool:
    """Whether a string has to be looked at again. Raises ValueError where it is nested too deep."""
    depth, has_flaw = 0, False
    for match in _BRACKETS_AND_STRINGS.finditer(text):
        found = match.group()
        if found.startswith('"'):
            has_flaw = has_flaw or _is_flawed(found)
        else:
            depth += 1 if found in "[{" else -1
            if depth > max_depth:
                raise ValueError(f"Nested more than {max_depth} levels deep.")
    return has_flaw


def _is_flawed(quoted: str) -> bool:
    try:
        return _flaw_of(json.loads(quoted) if "\\" in quoted else quoted) is not None
    except json.JSONDecodeError:
        return False  # the parser says it better


def _flaw_of(text: str) -> str | None:
    if "\x00" in text:
        return "A null character is not allowed in text."
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "A lone surrogate is not a character."
    return None


@dataclass(frozen=True)
class _Flaw:
    """Stands where a value is that is not taken."""

    reason: str


class _Parser:
    """The hooks of one parse: what is wrong is marked, for here nobody knows yet where it is."""

    def __init__(self, *, has_flaw: bool) -> None:
        self.has_flaw = has_flaw

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            result[twice] = self._mark("The key stands twice.")
        return result

    def constant(self, name: str) -> _Flaw:
        return self._mark(f"{name} is not a JSON number.")

    def float(self, text: str) -> Any:
        value = float(text)
        return value if math.isfinite(value) else self._mark("A number is too large.")

    def integer(self, text: str) -> Any:
        return int(text) if len(text) <= MAX_DIGITS else self._mark("A number is too large.")

    def _mark(self, reason: str) -> _Flaw:
        self.has_flaw = True
        return _Flaw(reason)


def _refuse(value: Any, path: list[str]) -> None:
    """Raises Refused for the first flaw in ``value``, which stands at ``path``."""
    reason = value.reason if isinstance(value, _Flaw) else None
    if isinstance(value, str):
        reason = _flaw_of(value)
    if reason:
        raise Refused(".".join(path), reason)
    if isinstance(value, dict):
        for name, inner in value.items():
            here = [*path, name.encode("unicode_escape").decode()[:MAX_NAME]]
            _refuse(name, here)
            _refuse(inner, here)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse(inner, [*path, str(index)])
