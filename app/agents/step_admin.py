"""Admin: one step of a chain as it is entered, alone or within its agent."""

from typing import Any

from flask import g
from wtforms import BooleanField, Form
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired

from app.admin.fields import (
    ChoiceField,
    KeyField,
    LineField,
    RealField,
    WholeField,
    choices,
    key_payload,
)
from app.providers.models import Provider
from app.providers.services import list_providers

FIELDS = ("provider_id", "model_name", "endpoint", "timeout", "temperature", "top_p", "max_tokens")


def providers() -> list[Provider]:
    """The providers that a step may name, read once a request."""
    if "llm_providers" not in g:
        g.llm_providers = list_providers()
    found: list[Provider] = g.llm_providers
    return found


def provider_choices() -> list[SelectChoice]:
    """What a step's select offers."""
    named = ((p.id, p.name if p.is_active else f"{p.name} (inactive)") for p in providers())
    return choices([("", "Choose a provider"), *named])


class StepFields(Form):
    """What is entered of a step."""

    provider_id = ChoiceField(
        "Provider", choices=provider_choices, validators=[InputRequired("Choose a provider.")]
    )
    model_name = LineField("Model", required=True, render_kw={"spellcheck": "false"})
    temperature = RealField("Temperature", low=0, high=2, default=0.7)
    top_p = RealField("Top p", low=0, high=1)
    max_tokens = WholeField("Max tokens", low=1, high=128_000)
    timeout = WholeField("Timeout (s)", low=1, high=300, default=30)
    endpoint = LineField("Own endpoint", render_kw={"inputmode": "url", "spellcheck": "false"})
    api_key = KeyField("Own API key")
    clear_api_key = BooleanField("Clear this step's own key")
    enabled = BooleanField("Enabled", default=True)

    def payload(self) -> dict[str, Any]:
        """The step form, as REST takes it."""
        names = (*FIELDS, "enabled")
        return {name: self[name].data for name in names} | key_payload(self)
