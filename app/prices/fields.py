"""The marshmallow field of money."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from app.core.db import plain

# Decimal itself takes "1_000", other scripts' digits, and exponents that fill the memory.
DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
WRITTEN = r"^[0-9]+(\.[0-9]+)?$"
"""As an answer has it, and best as a request does."""


class Money(fields.String):
    """Dollars as a decimal string (a number is taken too): from 0, and never through a float."""

    def __init__(self, *, high: int = 1_000_000, places: int = 12, **kwargs: Any) -> None:
        told = {"pattern": WRITTEN, "description": "Dollars, as a decimal string."}
        super().__init__(metadata=told, **kwargs)
        self._high = high
        self._places = places

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValidationError("Not a decimal number.")
        if not DECIMAL.fullmatch(str(value)):
            raise ValidationError("Not a decimal number.")
        amount = Decimal(str(value))
        if not 0 <= amount <= self._high:
            raise ValidationError(f"Must be from 0 to {self._high}.")
        if -int(amount.as_tuple().exponent) > self._places:
            raise ValidationError(f"At most {self._places} decimal places.")
        return plain(amount)

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return None if value is None else format(value, "f")
