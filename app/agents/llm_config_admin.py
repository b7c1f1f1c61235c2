"""Admin: LLM configs, the steps of all chains in one list, with their prices."""

from decimal import Decimal
from typing import Any

from flask import flash, g, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro

from app.admin.base import ResourceView, expose
from app.admin.fields import (
    LineField,
    ResourceForm,
    VersionField,
)
from app.agents import chain, llm_configs
from app.agents.chain_schemas import PRICES, LLMConfigFields
from app.agents.fields import Slug
from app.agents.models import LLMConfig
from app.agents.step_admin import StepFields, providers
from app.core.clock import utcnow
from app.core.db import plain
from app.core.errors import NotFound
from app.prices.cost import Rates, shifted
from app.prices.fields import DECIMAL
from app.prices.rates import rates_of_step
from app.prices.services import price_book

EXPORTED = ("agent_id", "position", "provider", "model_name", "endpoint", "timeout", "temperature")


class PerMillionField(LineField):
    """Money for a million tokens, as price lists state it; a step keeps it for a thousand."""

    def process_data(self, value: Any) -> None:
        amount = shifted(value, 3)
        self.data = None if amount is None else format(plain(amount), "f")

    def per_1k(self) -> str | None:
        """What the schema takes; what is no number is left for it to refuse."""
        text = (self.data or "").strip()
        if not DECIMAL.fullmatch(text):
            return text or None
        return format(shifted(Decimal(text), -3) or Decimal(0), "f")


class LLMConfigForm(StepFields, ResourceForm):
    """One step, with its prices."""

    cost_per_1k_input_tokens = PerMillionField("Input ($ per 1M)")
    cost_per_1k_output_tokens = PerMillionField("Output ($ per 1M)")
    cost_per_1k_cached_input_tokens = PerMillionField("Cached input ($ per 1M)")
    cost_per_1k_reasoning_tokens = PerMillionField("Reasoning ($ per 1M)")

    def payload(self) -> dict[str, Any]:
        return super().payload() | {name: self[name].per_1k() for name in PRICES}


class NewLLMConfigForm(LLMConfigForm):
    """The same for a step that is put behind an agent's others."""

    agent_id = LineField("Agent id", required=True, render_kw={"spellcheck": "false"})

    def payload(self) -> dict[str, Any]:
        return super().payload() | {"agent_id": self.agent_id.data}


class LLMConfigFormIn(LLMConfigFields):
    """What the form creates."""

    agent_id = Slug(required=True)


class LLMConfigView(ResourceView):
    """LLM configs: list by agent, form. A step's version is its agent's."""

    noun = "Step"
    icon = "chain"
    live = "agent provider"
    form = LLMConfigForm
    create_schema = LLMConfigFormIn
    update_schema = LLMConfigFields
    can_view_details = False
    list_template = "switchyard/llm_configs.html"
    create_template = edit_template = "switchyard/llm_config_form.html"
    column_list = ("agent", "position", "provider", "model_name", "parameters", "prices")
    column_export_list = (*EXPORTED, "top_p", "max_tokens", "enabled", *PRICES)
    column_labels = {  # noqa: RUF012  Flask-Admin assigns it to the instance
        "position": "Step",
        "model_name": "Model",
        "prices": "Price per 1M tokens",
    }
    column_sortable_list = ("model_name",)
    column_formatters = {  # noqa: RUF012
        "agent": macro("agent_cell"),
        "position": macro("step_cell"),
        "provider": macro("provider_cell"),
        "model_name": macro("model_cell"),
        "parameters": macro("parameters_cell"),
        "prices": macro("prices_cell"),
    }
    column_formatters_export = {  # noqa: RUF012
        "agent_id": lambda _view, _context, step, _name: step.agent.agent_id,
        "provider": lambda _view, _context, step, _name: step.provider.name,
    }

    def list_query(self, args: dict[str, Any]) -> Any:
        provider_id = request.args.get("provider_id", "")
        narrowed = {
            "visible_to": g.caller.visible_to,
            "model": request.args.get("model", "").replace("\x00", "").strip()[:256],
            "provider_id": int(provider_id) if _is_id(provider_id) else None,
        }
        return llm_configs.list_query(args | narrowed)

    def find(self, row_id: int) -> LLMConfig:
        step = llm_configs.get_config(row_id)
        if not g.caller.sees(step.agent.owner_id):
            raise NotFound("There is no such LLM config.")
        return step

    def create(self, data: dict[str, Any]) -> tuple[LLMConfig, list[str]]:
        return chain.append_step(data.pop("agent_id"), data)

    def update(
        self, row: LLMConfig, data: dict[str, Any], version: int
    ) -> tuple[LLMConfig, list[str]]:
        return chain.update_step(row.agent.agent_id, row.id, data, version)

    def delete(self, row: LLMConfig, version: int) -> None:
        chain.delete_step(row.agent.agent_id, row.id, version)

    def name_of(self, row: LLMConfig) -> str:
        return f"{row.model_name} of {row.agent.name}"

    def version_of(self, row: LLMConfig) -> int:
        return row.agent.version

    def create_form(self, obj: Any = None) -> LLMConfigForm:
        given = {"agent_id": request.args.get("agent", "")[:64]}
        return NewLLMConfigForm(request.form if request.method == "POST" else None, data=given)

    def edit_form(self, obj: Any = None) -> LLMConfigForm:
        form: LLMConfigForm = super().edit_form(obj)
        if request.method != "POST":
            form.version.data = self.version_of(obj)
        return form

    @expose("/move/", methods=("POST",))
    def move_view(self) -> ResponseReturnValue:
        """One place up or down within its chain."""
        step = self.get_one(request.form.get("id"))
        by = -1 if request.form.get("by") == "up" else 1
        try:
            llm_configs.move(step.id, by, _posted_version())
        except Exception as error:
            self.handle_view_exception(error)
        else:
            flash(f"{self.name_of(step)} is moved.", "success")
        return redirect(self._return_url())

    def render(self, template: str, **kwargs: Any) -> str:
        """The list shows prices, whoever states them; the form what a provider offers."""
        kwargs["providers"] = providers()
        if template == self.list_template:
            kwargs["rates_of"] = _rates_of
        return str(super().render(template, **kwargs))


def _rates_of(step: LLMConfig) -> Rates | None:
    """What the step's calls cost now."""
    if "price_book" not in g:
        g.price_book, g.now = price_book(), utcnow()
    rates: Rates | None = g.price_book.find_rates(
        step.provider.name, step.model_name, g.now, own=rates_of_step(step)
    )
    return rates


def _posted_version() -> int:
    field = ResourceForm(request.form).version
    assert isinstance(field, VersionField)
    version: int = field.data
    return version


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
