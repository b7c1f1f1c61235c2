"""The wire shape of the price table. Every amount's name says its unit; money is US dollars."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.core.rest import MAX_ID, Flag, Instant, PageArgs, Pattern, Schema, Text, WholeNumber
from app.prices.cost import CURRENCY
from app.prices.fields import Money
from app.prices.models import AMOUNTS, Price

MAX_TIERS = 10
MAX_THRESHOLD = 1_000_000_000
FIRST_YEAR, LAST_YEAR = 2020, 2100
MODEL = Pattern(r"^[^*\s][^*]*\*?$", error="A name, or its beginning with a star behind.")


class Moment(Instant):
    """An instant with its time zone, in the years that money is counted in."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        moment = super()._deserialize(value, *args, **kwargs)
        if not FIRST_YEAR <= moment.year < LAST_YEAR:
            raise ValidationError(f"Must be from {FIRST_YEAR} to {LAST_YEAR}.")
        return moment


class TierFields(Schema):
    """What the whole call costs when its input is longer than ``above`` tokens."""

    above = WholeNumber(low=1, high=MAX_THRESHOLD, required=True)
    input_per_1m = Money()
    cached_input_per_1m = Money()
    cache_write_per_1m = Money()
    cache_write_1h_per_1m = Money()
    output_per_1m = Money()
    reasoning_per_1m = Money()


class Amounts(Schema):
    """What is charged; null = the next source of prices, or the full rate. 0 = free."""

    input_per_1m = Money(allow_none=True)
    cached_input_per_1m = Money(allow_none=True)
    cache_write_per_1m = Money(allow_none=True)
    cache_write_1h_per_1m = Money(allow_none=True)
    output_per_1m = Money(allow_none=True)
    reasoning_per_1m = Money(allow_none=True)
    per_request = Money(allow_none=True)
    web_search_per_1k = Money(allow_none=True)
    tiers = fields.List(fields.Nested(TierFields), validate=validate.Length(max=MAX_TIERS))


class PriceIn(Amounts):
    """What adds a row."""

    provider = Text(min_length=1, max_length=128, metadata={"description": "A type, or a name."})
    provider_id = WholeNumber(low=1, high=MAX_ID)
    model = fields.String(required=True, validate=[validate.Length(1, 256), MODEL])
    service_tier = Text(min_length=1, max_length=32, allow_none=True)
    valid_from = Moment(metadata={"description": "Default: now."})
    valid_until = Moment(allow_none=True, metadata={"description": "The first moment without it."})
    currency = fields.String(validate=validate.Equal(CURRENCY))
    note = Text(max_length=500, allow_none=True)
    supersede = Flag(
        load_default=False, metadata={"description": "Correct the row that began at this moment."}
    )
    force = Flag(load_default=False, metadata={"description": "Keep an unlikely amount."})

    @validates_schema
    def _check(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if ("provider" in data) == ("provider_id" in data):
            raise ValidationError("Send one of provider and provider_id.", "provider")
        if all(data.get(name) is None for name in AMOUNTS):
            raise ValidationError("A row without any price says nothing.", "input_per_1m")
        cached, full = data.get("cached_input_per_1m"), data.get("input_per_1m")
        if cached is not None and full is not None and cached > full and not data.get("force"):
            message = "More than input_per_1m. Send force: true if it is right."
            raise ValidationError(message, "cached_input_per_1m")
        above = [tier["above"] for tier in data.get("tiers", ())]
        if len(set(above)) < len(above):
            raise ValidationError("Two tiers begin at the same number of tokens.", "tiers")
        if any(len(tier) == 1 for tier in data.get("tiers", ())):
            raise ValidationError("A tier without any price says nothing.", "tiers")


class PricePatch(Schema):
    """What may change: when a row ends, and what is noted about it. Amounts never do."""

    valid_until = Moment(allow_none=True)
    note = Text(max_length=500, allow_none=True)


class TierOut(Schema):
    """A tier as it is read: what it does not name stays as it is below."""

    above = fields.Integer()
    input_per_1m = fields.String()
    cached_input_per_1m = fields.String()
    cache_write_per_1m = fields.String()
    cache_write_1h_per_1m = fields.String()
    output_per_1m = fields.String()
    reasoning_per_1m = fields.String()


class PriceOut(Schema):
    """A row as it is read; money is decimal strings."""

    id = fields.Integer()
    provider = fields.String(allow_none=True)
    provider_type = fields.String()
    provider_id = fields.Integer(allow_none=True)
    model = fields.String()
    service_tier = fields.String(allow_none=True)
    valid_from = fields.AwareDateTime()
    valid_until = fields.AwareDateTime(allow_none=True)
    in_force = fields.Boolean()
    currency = fields.String()
    input_per_1m = fields.String(allow_none=True)
    cached_input_per_1m = fields.String(allow_none=True)
    cache_write_per_1m = fields.String(allow_none=True)
    cache_write_1h_per_1m = fields.String(allow_none=True)
    output_per_1m = fields.String(allow_none=True)
    reasoning_per_1m = fields.String(allow_none=True)
    per_request = fields.String(allow_none=True)
    web_search_per_1k = fields.String(allow_none=True)
    tiers = fields.List(fields.Nested(TierOut))
    note = fields.String(allow_none=True)
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class PriceList(Schema):
    """A page of the price table."""

    prices = fields.List(fields.Nested(PriceOut))
    total = fields.Integer()


class PriceArgs(PageArgs):
    """Filters of the list. ``at``: only what was in force then."""

    provider = Text(max_length=128, load_default=None)
    model = Text(max_length=256, load_default=None)
    at = Moment(load_default=None)


def dump_tiers(tiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tiers as they are stored and read: ascending, their money as text."""
    ordered = sorted(tiers, key=lambda tier: tier["above"])
    dumped: list[dict[str, Any]] = TierFields(many=True).dump(ordered)
    return dumped


def dump_price(row: Price, name: str | None, *, in_force: bool) -> dict[str, Any]:
    """A row as it is read; ``name`` is the provider's, where the row is about one."""
    amounts = {field: getattr(row, field) for field in AMOUNTS}
    body: dict[str, Any] = PriceOut().dump(
        {
            "id": row.id,
            "provider": name or (row.provider_type if row.provider_id is None else None),
            "provider_type": row.provider_type,
            "provider_id": row.provider_id,
            "model": row.model,
            "service_tier": row.service_tier,
            "valid_from": row.valid_from,
            "valid_until": row.valid_until,
            "in_force": in_force,
            "currency": row.currency,
            **{field: None if it is None else format(it, "f") for field, it in amounts.items()},
            "tiers": row.tiers,
            "note": row.note,
            "version": row.version,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
    )
    return body


class CallArgs(Schema):
    """Which call: of whom, of what, when, and how it was answered."""

    provider = Text(min_length=1, max_length=128, required=True)
    model = Text(min_length=1, max_length=256, required=True)
    at = Moment(load_default=None)
    service_tier = Text(max_length=64, load_default=None)
    processing = Text(max_length=64, load_default=None)


class EffectiveOut(Schema):
    """What such a call is charged by, unless its step has prices of its own."""

    provider = fields.String()
    model = fields.String()
    at = fields.AwareDateTime()
    source = fields.String(allow_none=True, metadata={"description": "null = unpriced"})
    rates = fields.Dict(allow_none=True)
