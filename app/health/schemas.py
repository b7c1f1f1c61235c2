"""The wire shape of checks."""

from marshmallow import fields

from app.core.rest import Schema
from app.providers.models import ValidationStatus


class CheckOut(Schema):
    """One check of a provider."""

    id = fields.Integer()
    started_at = fields.AwareDateTime()
    latency_ms = fields.Integer()
    status = fields.Enum(ValidationStatus, by_value=True)
    http_status = fields.Integer(allow_none=True)
    error = fields.String(allow_none=True)
    note = fields.String(allow_none=True)
    model_count = fields.Integer(allow_none=True)


class CheckList(Schema):
    """A page of checks, newest first."""

    checks = fields.List(fields.Nested(CheckOut))
    total = fields.Integer()


class PercentilesOut(Schema):
    """Milliseconds that half, 95 % and 99 % of the good checks took at most."""

    p50 = fields.Integer()
    p95 = fields.Integer()
    p99 = fields.Integer()


class PeriodOut(Schema):
    """The checks of some time."""

    since = fields.AwareDateTime(
        allow_none=True, metadata={"description": "When the first of them began."}
    )
    checks = fields.Integer()
    failed = fields.Integer()
    uptime = fields.Float(
        allow_none=True,
        metadata={"description": "The share of checks that came out well, 0 to 1; null = none."},
    )
    latency_ms = fields.Nested(PercentilesOut, allow_none=True)


class HealthOut(Schema):
    """How a provider has been."""

    provider_id = fields.Integer()
    status = fields.Enum(ValidationStatus, by_value=True)
    last_checked_at = fields.AwareDateTime(allow_none=True)
    next_check_at = fields.AwareDateTime(allow_none=True)
    check_interval = fields.Integer(
        metadata={"description": "Seconds, as they hold; 0 = checked on request only."}
    )
    last_failed_check = fields.Nested(
        CheckOut,
        allow_none=True,
        metadata={"description": "The newest check that failed, however long ago."},
    )
    last_24h = fields.Nested(PeriodOut)
    last_7d = fields.Nested(PeriodOut)
