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
    model_count = fields.Integer(allow_none=True)


class CheckList(Schema):
    """A page of checks, newest first."""

    checks = fields.List(fields.Nested(CheckOut))
    total = fields.Integer()
