"""The wire shapes of usage. An event's is in event_fields.py: it is checked without marshmallow."""

from typing import Any

from marshmallow import fields, validate

from app.core.rest import PageArgs, Schema, Text
from app.usage.body import MAX_EVENTS
from app.usage.event_fields import ERROR, OK, SCHEMA


class UsageIn(Schema):
    """A batch of usage events."""

    events = fields.List(
        fields.Dict(), required=True, metadata={"items": SCHEMA, "maxItems": MAX_EVENTS}
    )


class RejectionOut(Schema):
    """An event of the batch that was not taken; the others were."""

    index = fields.Integer(metadata={"description": "Its place in the batch, from 0."})
    code = fields.String(
        validate=validate.OneOf(
            [
                "invalid",
                "unknown_field",
                "missing",
                "too_long",
                "out_of_range",
                "contradiction",
                "conflict",
                "forbidden",
            ]
        )
    )
    message = fields.String(metadata={"description": "Names the field."})


class ReceiptOut(Schema):
    """What became of a batch. What is accepted is stored."""

    accepted = fields.Integer()
    duplicates = fields.Integer(metadata={"description": "Had been reported before; counted once."})
    rejected = fields.List(fields.Nested(RejectionOut))


class PeriodArgs(Schema):
    """From when to when."""

    from_ = Text(
        max_length=40,
        data_key="from",
        metadata={"description": "A date, or an ISO-8601 time. Default: the beginning."},
    )
    to = Text(
        max_length=40,
        metadata={"description": "A date, which is included, or a time, which is not."},
    )
    tz = Text(
        max_length=64,
        load_default="UTC",
        metadata={"description": "Whose days they are, e.g. Europe/Berlin."},
    )
    agent_id = Text(max_length=64)
    provider = Text(max_length=128)
    model = Text(max_length=256)
    task = Text(max_length=128)


class SummaryArgs(PeriodArgs):
    """What to sum up by."""

    group_by = fields.List(
        Text(max_length=64),
        load_default=list,
        metadata={
            "description": "Any of agent, model, provider, task, day: repeated or with commas."
        },
    )


class EventArgs(PageArgs, PeriodArgs):
    """Which events."""

    class Meta(Schema.Meta):
        exclude = ("search",)

    status = fields.String(validate=validate.OneOf([OK, ERROR]))


class EventExportArgs(PeriodArgs):
    """Which events; all of them."""

    status = fields.String(validate=validate.OneOf([OK, ERROR]))


class LatencyOut(Schema):
    """Percentiles in milliseconds, from a histogram; null where no call was timed."""

    p50 = fields.Integer(allow_none=True)
    p95 = fields.Integer(allow_none=True)
    p99 = fields.Integer(allow_none=True)


class AmountsOut(Schema):
    """What was used, and what it cost."""

    calls = fields.Integer()
    errors = fields.Integer()
    fallbacks = fields.Integer(metadata={"description": "Calls that a later step answered."})
    unpriced_calls = fields.Integer(
        metadata={"description": "Calls with unknown prices; they are not part of the cost."}
    )
    input_tokens = fields.Integer()
    output_tokens = fields.Integer()
    cached_input_tokens = fields.Integer()
    cache_write_tokens = fields.Integer()
    cache_write_1h_tokens = fields.Integer()
    reasoning_tokens = fields.Integer()
    web_searches = fields.Integer()
    cost = fields.String(
        metadata={"description": "An exact decimal: the sum of the calls that have a price."}
    )
    latency_ms = fields.Nested(
        LatencyOut,
        allow_none=True,
        metadata={"description": "Null with more than 500 rows."},
    )


class SummaryRow(AmountsOut):
    """One group; it has the fields that it was asked for by."""

    agent_id = fields.String()
    model = fields.String()
    provider = fields.String()
    task = fields.String(allow_none=True)
    day = fields.Date()


class SummaryOut(Schema):
    """The groups and their total, which is the same whatever they are grouped by."""

    rows = fields.List(fields.Nested(SummaryRow))
    total = fields.Nested(AmountsOut)
    currency = fields.String()
    tz = fields.String()


def _shown(name: str, schema: dict[str, Any]) -> fields.Field[Any]:
    kind = fields.Integer if schema["type"] == "integer" else fields.String
    return kind(allow_none=True, metadata={"description": schema["description"]})


EventOut = Schema.from_dict(
    {
        **{name: _shown(name, schema) for name, schema in SCHEMA["properties"].items()},
        "received_at": fields.AwareDateTime(),
        "clock_skew": fields.Boolean(
            metadata={"description": "It began more than five minutes after it arrived."}
        ),
        "cost": fields.String(
            allow_none=True, metadata={"description": "An exact decimal; null = unpriced."}
        ),
        "currency": fields.String(),
        "price_source": fields.String(allow_none=True),
        "rates": fields.Dict(
            allow_none=True,
            metadata={"description": "The rates applied: decimal strings, named with their unit."},
        ),
    },
    name="UsageEventOut",
)


class EventList(Schema):
    """A page of events, newest first."""

    events = fields.List(fields.Nested(EventOut))
    total = fields.Integer()
