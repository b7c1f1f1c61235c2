"""Admin: what is done with the ticked agents of the list."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError
from wtforms.validators import InputRequired

from app.admin.base import Permission, ResourceView, expose, load
from app.admin.fields import (
    UNREAD,
    ChoiceField,
    LineField,
    RealField,
    ResourceForm,
    WholeField,
    show_errors,
)
from app.admin.gate import may
from app.agents import bulk
from app.agents.chain_schemas import LLMConfigFields
from app.agents.models import Agent
from app.agents.step_admin import provider_choices, providers

CHOOSE = "Choose some agents first."

Result = TypeVar("Result")


class SetModelForm(ResourceForm):
    """A model for many agents; what is left empty stays as each of them has it."""

    provider_id = ChoiceField(
        "Provider", choices=provider_choices, validators=[InputRequired("Choose a provider.")]
    )
    model_name = LineField("Model", required=True, render_kw={"spellcheck": "false"})
    temperature = RealField("Temperature", low=0, high=2)
    top_p = RealField("Top p", low=0, high=1)
    max_tokens = WholeField("Max tokens", low=1, high=128_000)
    timeout = WholeField("Timeout (s)", low=1, high=300)

    def payload(self) -> dict[str, Any]:
        names = ("provider_id", *bulk.PARAMETERS)
        return {name: self[name].data for name in names if self[name].data is not None}


class BulkView(ResourceView):
    """The buttons above the list. A model is set only after a look at what that changes."""

    needed_by = {  # noqa: RUF012
        **ResourceView.needed_by,
        "validate_chosen_view": Permission.OPERATE,
    }

    @property
    def selects(self) -> bool:
        """Ticks stand only where something may be done with them."""
        return may(Permission.OPERATE)

    @expose("/validate-chosen/", methods=("POST",))
    def validate_chosen_view(self) -> ResponseReturnValue:
        """Ask for a check of every provider that the ticked agents use."""
        return self._act_on_chosen(
            bulk.validate_providers, lambda names: f"Being checked: {', '.join(names) or 'none'}."
        )

    @expose("/enable/", methods=("POST",))
    def enable_view(self) -> ResponseReturnValue:
        """Switch the ticked agents on."""
        return self._act_on_chosen(
            lambda agents: bulk.set_active(_slugs(agents), True),
            lambda agents: f"{len(agents)} enabled: {_names(agents)}.",
        )

    @expose("/disable/", methods=("POST",))
    def disable_view(self) -> ResponseReturnValue:
        """Switch the ticked agents off, and say what that does not do."""
        return self._act_on_chosen(
            lambda agents: bulk.set_active(_slugs(agents), False),
            lambda agents: (
                f"{len(agents)} disabled: {_names(agents)}. The default agent answers for them, "
                "and they go on spending unless they are halted."
            ),
        )

    @expose("/set-model/", methods=("POST",))
    def set_model_view(self) -> ResponseReturnValue:
        """Ask which model the ticked agents get, show what that changes, and do it."""
        chosen, step = self.chosen(), request.form.get("step")
        if not chosen:
            flash(CHOOSE, "warning")
            return redirect(self._return_url())
        form = SetModelForm(request.form if step else None)
        data = _read_model(form) if step else None
        if data is not None and step == "apply" and self._set_model(chosen, data):
            return redirect(self._return_url())
        differences = bulk.preview_primaries(chosen, data) if data is not None else None
        return str(
            self.render(
                "switchyard/agents_set_model.html",
                form=form,
                chosen=chosen,
                differences=differences,
                providers=providers(),
                return_url=self._return_url(),
            )
        )

    def _set_model(self, chosen: list[Agent], data: dict[str, Any]) -> bool:
        versions = {agent.agent_id: _version_of(agent.id) for agent in chosen}
        try:
            changed, warnings = bulk.update_primaries(versions, data)
        except Exception as error:
            return not self.handle_view_exception(error)
        flash(f"{len(changed)} changed: {_names(changed)}.", "success")
        for text in warnings:
            flash(text, "warning")
        return True

    def _act_on_chosen(
        self, verb: Callable[[list[Agent]], Result], message: Callable[[Result], str]
    ) -> ResponseReturnValue:
        chosen = self.chosen()
        if not chosen:
            flash(CHOOSE, "warning")
            return redirect(self._return_url())
        try:
            done = verb(chosen)
        except Exception as error:
            self.handle_view_exception(error)
        else:
            flash(message(done), "success")
        return redirect(self._return_url())


def _read_model(form: SetModelForm) -> dict[str, Any] | None:
    """What the form says; None, with the reasons beside its fields, where it is refused."""
    if not form.validate():
        return None
    try:
        return load(LLMConfigFields, form)
    except ValidationError as error:
        show_errors(form, error.normalized_messages())
        return None


def _slugs(agents: Iterable[Agent]) -> list[str]:
    return [agent.agent_id for agent in agents]


def _names(agents: Iterable[Agent]) -> str:
    return ", ".join(agent.name for agent in agents)


def _version_of(agent_pk: int) -> int:
    """The version that the preview showed; without one, none that a row has."""
    text = request.form.get(f"version-{agent_pk}", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else UNREAD
