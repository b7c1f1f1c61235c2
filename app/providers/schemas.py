"""The wire shape of providers. The key goes in and never comes out."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from app.core.rest import (
    Flag,
    HttpUrl,
    JsonObject,
    KeyText,
    PageArgs,
    ReadBack,
    Schema,
    Text,
    WholeNumber,
)
from app.providers.models import Capability, Provider, ValidationStatus

CAPABILITIES = [capability.value for capability in Capability]
SHORTEST_INTERVAL, LONGEST_INTERVAL = 10, 86_400


class CheckInterval(WholeNumber):
    """Seconds between two checks; 0 = none but those that a save or somebody asks for."""

    def __init__(self, **kwargs: Any) -> None:
        description = "Seconds, 10 or more; null = HEALTH_CHECK_INTERVAL, 0 = only on request."
        metadata = {"description": description}
        super().__init__(low=0, high=LONGEST_INTERVAL, allow_none=True, metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        seconds = super()._deserialize(value, *args, **kwargs)
        if 0 < seconds < SHORTEST_INTERVAL:
            raise ValidationError(f"0, or from {SHORTEST_INTERVAL} to {LONGEST_INTERVAL}.")
        return seconds


class ProviderIn(Schema):
    """What creates a provider."""

    name = Text(min_length=1, max_length=128, required=True)
    type = Text(min_length=1, max_length=32, required=True)
    capability = fields.String(
        validate=validate.OneOf(CAPABILITIES),
        metadata={"description": "Default: llm, or the one that the type is for."},
    )
    base_url = HttpUrl(metadata={"description": "Default: the type's usual endpoint."})
    api_key = KeyText()
    options = JsonObject(load_default=dict)
    is_active = Flag(load_default=True)
    check_interval = CheckInterval(load_default=None)
    check_call = Flag(load_default=False)


class ProviderPatch(Schema):
    """What changes a provider: only the sent fields."""

    name = Text(min_length=1, max_length=128)
    type = Text(min_length=1, max_length=32)
    capability = fields.String(validate=validate.OneOf(CAPABILITIES))
    base_url = HttpUrl()
    api_key = KeyText()
    options = JsonObject()
    is_active = Flag()
    check_interval = CheckInterval()
    check_call = Flag()


class ProviderPut(ReadBack, ProviderPatch):
    """The same, or a provider as it was read."""

    only_read = ReadBack.only_read | {
        "api_key_set",
        "validation_status",
        "last_checked_at",
        "latency_ms",
        "last_error",
        "next_check_at",
        "warnings",
    }


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
    check_interval = fields.Integer(allow_none=True)
    check_call = fields.Boolean()
    validation_status = fields.Enum(ValidationStatus, by_value=True)
    last_checked_at = fields.AwareDateTime(allow_none=True)
    latency_ms = fields.Integer(allow_none=True)
    last_error = fields.String(allow_none=True)
    next_check_at = fields.AwareDateTime(allow_none=True)
    warnings = fields.List(fields.String())
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
    capability = fields.Enum(Capability, by_value=True, load_default=None)
    status = fields.Enum(ValidationStatus, by_value=True, load_default=None)
    is_active = fields.Boolean(load_default=None)


class ModelList(Schema):
    """The model names that the last good check listed; null = none was listed yet."""

    models = fields.List(fields.String(), allow_none=True)
    total = fields.Integer()


def dump_provider(provider: Provider, warnings: list[str] | None = None) -> dict[str, Any]:
    """A provider as it is read."""
    body: dict[str, Any] = ProviderOut().dump(provider)
    return body | ({"warnings": warnings} if warnings else {})


def dump_saved(provider: Provider, warnings: list[str] | None = None) -> dict[str, Any]:
    """A provider as it was saved: pending, though a worker may have begun its check since."""
    return dump_provider(provider, warnings) | {"validation_status": ValidationStatus.PENDING}
