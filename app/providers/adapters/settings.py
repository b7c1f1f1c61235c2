"""The settings that an adapter declares for what uses it, and the check of given ones. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.addresses import check_url_syntax
from app.core.errors import Invalid

TEXT_LIMIT = 2048


class Kind(StrEnum):
    """What a setting's value looks like."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    URL = "url"
    PATH = "path"


@dataclass(frozen=True)
class SettingField:
    """One setting: its name, what it looks like, and what it is for."""

    name: str
    kind: Kind
    help: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    schemes: tuple[str, ...] = ("http", "https")

    def problem(self, value: Any) -> str | None:
        """Why the value will not do, or None."""
        if self.kind in (Kind.INTEGER, Kind.NUMBER):
            return self._number_problem(value)
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_LIMIT:
            return f"Text of 1 to {TEXT_LIMIT} characters."
        if any(ord(character) < 32 for character in value):
            return "No control characters."
        if self.kind is Kind.PATH and not value.startswith("/"):
            return "A path that starts with a slash."
        return self._url_problem(value) if self.kind is Kind.URL else None

    def _number_problem(self, value: Any) -> str | None:
        whole = self.kind is Kind.INTEGER
        right_type = isinstance(value, int) or (isinstance(value, float) and not whole)
        if isinstance(value, bool) or not right_type:
            return "A whole number." if whole else "A number."
        low, high = self.low or 0, self.high
        if not low <= value <= (math.inf if high is None else high):
            return f"From {low:g} to {high:g}." if high is not None else f"At least {low:g}."
        return None

    def _url_problem(self, value: str) -> str | None:
        scheme, _, rest = value.partition("://")
        if scheme not in self.schemes:
            return f"A URL that starts with one of: {', '.join(self.schemes)}."
        return check_url_syntax(f"http://{rest}")  # but for its scheme, like any endpoint's


def check_settings(
    fields: tuple[SettingField, ...], given: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """The given settings without nulls. Raises Invalid under ``prefix.name`` for each that is
    unknown, wrong or missing."""
    known = {field.name: field for field in fields}
    settings = {name: value for name, value in given.items() if value is not None}
    errors = {}
    for name, value in settings.items():
        if name not in known:
            errors[f"{prefix}.{name}"] = [f"Unknown setting. One of: {', '.join(known)}."]
        elif problem := known[name].problem(value):
            errors[f"{prefix}.{name}"] = [problem]
    for field in fields:
        if field.required and field.name not in settings:
            errors[f"{prefix}.{field.name}"] = ["Missing data for required field."]
    if errors:
        raise Invalid(errors)
    return settings
