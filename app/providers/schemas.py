"""The wire shape of providers. The key goes in and never comes out."""

from typing import Any

from marshmallow import fields, validate

from app.core.rest import Flag, HttpUrl, PageArgs, Schema, Text
from app.providers.models import Capability, Provider, ValidationStatus

CAPABILITIES = [capability.value for capability in Capability]


class ProviderIn(Schema):
    """What creates a provider."""

    name = Text(min_length=1, max_length=128, required=True)
    type = Text(min_length=1, max_length=32, required=True)
    capability = fields.String(validate=validate.OneOf(CAPABILITIES), load_default="llm")
    base_url = HttpUrl(metadata={"description": "Default: the type's usual endpoint."})
    api_key = Text(min_length=1, max_length=4096, allow_none=True, load_only=True)
    options = fields.Dict(keys=fields.String(), load_default=dict)
    is_active = Flag(load_default=True)


class ProviderPatch(Schema):
    """What changes a provider: only the sent fields."""

    name = Text(min_length=1, max_length=128)
    type = Text(min_length=1, max_length=32)
    capability = fields.String(validate=validate.OneOf(CAPABILITIES))
    base_url = HttpUrl()
    api_key = Text(min_length=1, max_length=4096, allow_none=True, load_only=True)
    options = fields.Dict(keys=fields.String())
    is_active = Flag()


class ProviderOut(Schema):
    """A provider as it is read."""

    id = fields.Integer()
    name = fields.String()
    type = fields.String()
    capability = fields.Enum(Capability, by_value=True)
    base_url = fields.String()
    api_key_set = fields.Boolean()
    options = fields.Dict()
    is_active = fields.Boolean()
    validation_status = fields.Enum(ValidationStatus, by_value=True)
    last_checked_at = fields.AwareDateTime(allow_none=True)
    latency_ms = fields.Integer(allow_none=True)
    last_error = fields.String(allow_none=True)
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class ProviderList(Schema):
    """A page of providers."""

    providers = fields.List(fields.Nested(ProviderOut))
    total = fields.Integer()


class ProviderArgs(PageArgs):
    """Filters of the list."""

    type = Text(max_length=32, load_default=None)
    status = fields.Enum(ValidationStatus, by_value=True, load_default=None)
    is_active = fields.Boolean(load_default=None)


class ProviderDeleted(Schema):
    """What a delete answers."""

    message = fields.String()
    id = fields.Integer()


class ModelList(Schema):
    """The model names that the last good check listed; null = none was listed yet."""

    models = fields.List(fields.String(), allow_none=True)
    total = fields.Integer()


def dump_provider(provider: Provider) -> dict[str, Any]:
    """A provider as it is read."""
    body: dict[str, Any] = ProviderOut().dump(provider)
    return body
