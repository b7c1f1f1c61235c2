"""The marshmallow fields of agents: prices and slugs."""

import re
from typing import Any

from marshmallow import ValidationError, fields

from app.prices.fields import Money

SLUG = re.compile(r"^[a-z0-9-]{1,64}$")
RESERVED_SLUGS = frozenset({"current"})


class Price(Money):
    """Money per 1,000 tokens; 0 means free."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(places=18, **kwargs)


class Slug(fields.String):
    """``agent_id``: lower-case letters, digits and dashes, 1 to 64 of them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": SLUG.pattern}, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        slug = str(super()._deserialize(value, *args, **kwargs))
        if not SLUG.fullmatch(slug):
            raise ValidationError("1 to 64 lower-case letters, digits and dashes.")
        if slug in RESERVED_SLUGS:
            raise ValidationError(f"'{slug}' is reserved.")
        return slug
