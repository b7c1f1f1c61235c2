"""The marshmallow fields of agents: prices and slugs."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from app.core.db import plain

SLUG = re.compile(r"^[a-z0-9-]{1,64}\Z")
# Decimal itself takes "1_000", other scripts' digits, and exponents that fill the memory.
DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
RESERVED_SLUGS = frozenset({"current"})


class Price(fields.String):
    """Money per 1,000 tokens as a decimal string (a number is taken too); 0 means free."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValidationError("Not a decimal number.")
        if not DECIMAL.fullmatch(str(value)):
            raise ValidationError("Not a decimal number.")
        amount = Decimal(str(value))
        if not 0 <= amount <= 1_000_000:
            raise ValidationError("Must be from 0 to 1000000.")
        if -int(amount.as_tuple().exponent) > 18:
            raise ValidationError("At most 18 decimal places.")
        return plain(amount)

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return None if value is None else format(value, "f")


class Slug(fields.String):
    """``agent_id``: lower-case letters, digits and dashes, 1 to 64 of them."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        slug = str(super()._deserialize(value, *args, **kwargs))
        if not SLUG.match(slug):
            raise ValidationError("1 to 64 lower-case letters, digits and dashes.")
        if slug in RESERVED_SLUGS:
            raise ValidationError(f"'{slug}' is reserved.")
        return slug
