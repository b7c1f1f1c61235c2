"""Admin: providers. The key goes in and never comes out."""

from typing import Any

from flask import g, request
from flask_admin.model.template import macro
from wtforms import BooleanField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from app.admin.base import ResourceView
from app.admin.fields import (
    JsonField,
    KeyField,
    LineField,
    ResourceForm,
    WholeField,
    choices,
    key_payload,
)
from app.providers import services
from app.providers.adapters import find_adapter
from app.providers.models import Capability, Provider, ValidationStatus
from app.providers.schemas import LONGEST_INTERVAL, ProviderIn, ProviderPatch
from app.providers.services import CHECK_MODEL

STATES = [status.value for status in ValidationStatus]
ENTERED = ("name", "type", "check_interval", "check_call", "is_active")
SHOWN_STEPS = 100
SHOWN = 40


class ProviderForm(ResourceForm):
    """A provider as it is entered."""

    name = LineField("Name", required=True)
    type = SelectField("Type", choices=lambda: _types(Capability.LLM))
    base_url = LineField("Base URL", render_kw={"inputmode": "url", "spellcheck": "false"})
    api_key = KeyField("API key")
    clear_api_key = BooleanField("Clear the stored key")
    check_interval = WholeField("Seconds between checks", low=0, high=LONGEST_INTERVAL)
    check_call = BooleanField("A check also makes one call of a token or so")
    check_model = LineField(
        "Model that a check calls", render_kw={"list": "known-models", "spellcheck": "false"}
    )
    options = JsonField("Options", render_kw={"rows": 4, "spellcheck": "false"})
    is_active = BooleanField("Active", default=True)

    capability = Capability.LLM
    """What the edited row is; speech providers have types of their own."""

    def __init__(self, formdata: Any = None, obj: Provider | None = None, **kwargs: Any) -> None:
        super().__init__(formdata, obj=obj, **kwargs)
        if obj is not None and isinstance(obj.options.get(CHECK_MODEL), str):
            # Stored among the options, asked for by itself.
            self.options.data = dict(obj.options)
            self.check_model.data = self.options.data.pop(CHECK_MODEL)

    def validate_check_model(self, field: Any) -> None:
        """A call costs something, so the model is not guessed; the options may name it too."""
        options = self.options.data if isinstance(self.options.data, dict) else {}
        if self.check_call.data and not field.data and CHECK_MODEL not in options:
            raise ValidationError("Name the model that is to be called.")

    def payload(self) -> dict[str, Any]:
        fields = {name: self[name].data for name in ENTERED}
        named = {CHECK_MODEL: self.check_model.data} if self.check_model.data else {}
        fields["options"] = {**self.options.data, **named}
        # An empty base URL means the type's usual one.
        base_url = self.base_url.data or usual_base_url(self.type.data, self.capability)
        return fields | ({"base_url": base_url} if base_url else {}) | key_payload(self)


class ProviderView(ResourceView):
    """Providers: list, form, details."""

    noun = "Provider"
    live = "provider"
    icon = "provider"
    form = ProviderForm
    create_schema = ProviderIn
    update_schema = ProviderPatch
    list_template = "switchyard/providers.html"
    details_template = "switchyard/provider.html"
    create_template = edit_template = "switchyard/provider_form.html"
    column_list = ("name", "validation_status", "base_url", "api_key_set", "latency_ms")
    column_details_list = (
        *column_list,
        "type",
        "capability",
        "options",
        "is_active",
        "check_interval",
        "check_call",
        "last_error",
        "last_checked_at",
    )
    column_export_list = (
        *("name", "validation_status", "type", "base_url", "api_key_set", "latency_ms"),
        *("is_active", "last_error", "last_checked_at"),
    )
    column_labels = {  # noqa: RUF012  Flask-Admin assigns it to the instance
        "validation_status": "Status",
        "base_url": "Base URL",
        "api_key_set": "Key",
        "latency_ms": "Latency",
        "last_checked_at": "Checked",
    }
    column_sortable_list = ("name", "validation_status", "latency_ms")
    column_formatters = {  # noqa: RUF012
        "name": macro("name_cell"),
        "validation_status": macro("status_cell"),
        "base_url": macro("url_cell"),
        "api_key_set": macro("key_cell"),
        "latency_ms": macro("latency_cell"),
    }
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def list_query(self, args: dict[str, Any]) -> Any:
        status = request.args.get("status", "")
        return services.list_query(args | {"status": status if status in STATES else None})

    def find(self, row_id: int) -> Provider:
        return services.get_provider(row_id)

    def create(self, data: dict[str, Any]) -> tuple[Provider, list[str]]:
        return services.create_provider(data), []

    def update(
        self, row: Provider, data: dict[str, Any], version: int
    ) -> tuple[Provider, list[str]]:
        return services.update_provider(row.id, data, version), []

    def delete(self, row: Provider, version: int) -> None:
        services.delete_provider(row.id, version)

    def edit_form(self, obj: Any = None) -> ProviderForm:
        form: ProviderForm = super().edit_form(obj)
        form.capability = obj.capability
        form.type.choices = _types(obj.capability)
        return form

    def render(self, template: str, **kwargs: Any) -> str:
        """Every page of a provider says who depends on it."""
        if (provider := kwargs.get("model")) is not None:
            kwargs["used_by"] = services.used_by(provider, SHOWN_STEPS, sees=_is_in_sight)
            kwargs["many"] = SHOWN
        kwargs["states"] = STATES
        return str(super().render(template, **kwargs))


def _is_in_sight(user: Any) -> bool:
    """Whether the person may know of what uses a provider; a viewer not of others' agents."""
    return bool(g.caller.sees(getattr(user, "owner_id", None)))


def _types(capability: Capability) -> list[SelectChoice]:
    """The types, each with its usual base URL, which base_url.js offers."""
    found = choices(services.type_choices(capability))
    for choice in found:
        choice.render_kw = {"data-usual-url": usual_base_url(choice.value, capability) or ""}
    return found


def usual_base_url(provider_type: str, capability: Capability) -> str | None:
    """Where providers of a type usually are."""
    adapter = find_adapter(provider_type, capability)
    return adapter.default_base_url if adapter else None
