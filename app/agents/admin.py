"""Admin: agents, each with its chain edited inline and saved in one transaction."""

from datetime import datetime
from typing import Any

from flask import Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro
from marshmallow import fields, validate
from wtforms import BooleanField, FieldList, FormField
from wtforms.fields.choices import SelectChoice

from app.accounts.services import list_users
from app.admin.base import Permission, expose
from app.admin.fields import (
    ChoiceField,
    IdField,
    JsonField,
    LineField,
    ProseField,
    ResourceForm,
    choices,
)
from app.agents import halt, services
from app.agents.bulk_admin import BulkView
from app.agents.chain_schemas import MAX_STEPS, LLMConfigItem
from app.agents.halt_admin import ask_and_halt, halt_state
from app.agents.models import Agent
from app.agents.schemas import AgentIn, AgentPatch
from app.agents.step_admin import StepFields, providers
from app.core.errors import NotFound

AGENT_FIELDS = ("agent_id", "name", "description", "system_prompt", "user_prompt", "owner_id")


def _owner_choices() -> list[SelectChoice]:
    people = ((user.id, user.email) for user in list_users())
    return choices([("", "Nobody: everyone may see it"), *people])


class StepForm(StepFields):
    """One step within an agent's form."""

    id = IdField()

    def is_blank(self) -> bool:
        """A row that was added and left empty asks for nothing."""
        return not (self.id.data or self.provider_id.data or self.model_name.data)

    def payload(self) -> dict[str, Any]:
        """The step as an item of A10's PUT."""
        return super().payload() | {"id": self.id.data}


class AgentForm(ResourceForm):
    """An agent as it is entered, its chain within."""

    name = LineField("Name", required=True)
    agent_id = LineField("Agent id", render_kw={"spellcheck": "false"})
    description = ProseField("Description", render_kw={"rows": 2})
    owner_id = ChoiceField("Owner", choices=_owner_choices)
    is_active = BooleanField("Active", default=True)
    llm_configs = FieldList(FormField(StepForm), label="Chain")
    system_prompt = ProseField("System prompt", render_kw={"rows": 6})
    user_prompt = ProseField("User prompt", render_kw={"rows": 4})
    metadata_ = JsonField("Metadata", render_kw={"rows": 3, "spellcheck": "false"})

    def validate(self, extra_validators: Any = None) -> bool:
        rows = self.llm_configs
        rows.entries = [entry for entry in rows.entries if not entry.form.is_blank()]
        return bool(super().validate(extra_validators))

    def payload(self) -> dict[str, Any]:
        return {
            **{name: self[name].data for name in AGENT_FIELDS},
            "is_active": self.is_active.data,
            "metadata": self.metadata_.data,
            "llm_configs": [entry.form.payload() for entry in self.llm_configs.entries],
        }


def _chain() -> fields.List:
    too_many = validate.Length(max=MAX_STEPS, error="A chain has {max} steps at most.")
    return fields.List(fields.Nested(LLMConfigItem), validate=too_many)


class AgentFormIn(AgentIn):
    """What the form creates."""

    llm_configs = _chain()


class AgentFormPatch(AgentPatch):
    """What the form changes."""

    llm_configs = _chain()


class AgentView(BulkView):
    """Agents: list, form, details."""

    noun = "Agent"
    icon = "agent"
    live = "agent provider"
    form = AgentForm
    create_schema = AgentFormIn
    update_schema = AgentFormPatch
    needed_by = {  # noqa: RUF012
        **BulkView.needed_by,
        "halt_view": Permission.OPERATE,
        "resume_view": Permission.ADMINISTER,
    }
    list_template = "switchyard/agents.html"
    details_template = "switchyard/agent.html"
    create_template = edit_template = "switchyard/agent_form.html"
    column_list = ("name", "chain", "is_active", "updated_at")
    column_details_list = ("agent_id", "name", "description", "is_default", "is_active")
    column_export_list = (
        *("agent_id", "name", "description", "is_default", "is_active", "halted"),
        *("halted_reason", "chain", "updated_at"),
    )
    export_types = ("csv", "json")
    column_labels = {  # noqa: RUF012  Flask-Admin assigns it to the instance
        "is_active": "Active",
        "updated_at": "Changed",
    }
    column_sortable_list = ("name", "is_active", "updated_at")
    column_formatters = {  # noqa: RUF012
        "name": macro("name_cell"),
        "chain": macro("chain_cell"),
        "is_active": macro("active_cell"),
        "updated_at": macro("changed_cell"),
    }
    column_formatters_export = {  # noqa: RUF012
        "chain": lambda _view, _context, agent, _name: " > ".join(_chain_in_words(agent)),
    }

    def list_query(self, args: dict[str, Any]) -> Any:
        query = services.list_query(args | {"visible_to": g.caller.visible_to})
        return halt.only_halted(query) if request.args.get("halted") == "1" else query

    def find(self, row_id: int) -> Agent:
        agent = services.get_agent_by_id(row_id)
        if not g.caller.sees(agent.owner_id):
            raise NotFound("There is no such agent.")
        return agent

    def create(self, data: dict[str, Any]) -> tuple[Agent, list[str]]:
        return services.create_agent(data)

    def update(self, row: Agent, data: dict[str, Any], version: int) -> tuple[Agent, list[str]]:
        return services.update_agent(row.agent_id, data, version)

    def delete(self, row: Agent, version: int) -> None:
        services.delete_agent(row.agent_id, version)

    def name_of(self, row: Agent) -> str:
        return row.name

    @expose("/set-default/", methods=("POST",))
    def set_default_view(self) -> ResponseReturnValue:
        """Make it the one default among the agents of its owner."""
        return self.act(
            lambda agent: services.set_default(agent.agent_id), "{name} is the default now."
        )

    @expose("/halt/", methods=("GET", "POST"))
    def halt_view(self) -> ResponseReturnValue:
        """Ask for the reason, and halt this agent."""
        agent = self.get_one(request.values.get("id"))
        return ask_and_halt(
            self, agent, agent.name, lambda reason: halt.halt_agents([agent.agent_id], reason)
        )

    @expose("/resume/", methods=("POST",))
    def resume_view(self) -> ResponseReturnValue:
        """Let this agent go on."""
        but = ", but all agents are still halted" if halt_state().button.halted else ""
        return self.act(
            lambda agent: halt.resume_agents([agent.agent_id]), "{name} is resumed" + but + "."
        )

    def _export_tablib(self, export_type: str, return_url: str) -> Response:
        """JSON: the same columns, as values."""
        rows = self._export_data()[1]
        names = [name for name in self.column_export_list if name != "chain"]
        told = [
            {name: _plain(getattr(row, name)) for name in names} | {"chain": _chain_in_words(row)}
            for row in rows
        ]
        response = jsonify({"agents": told, "total": len(told)})
        response.headers["Content-Disposition"] = 'attachment; filename="agents.json"'
        return response

    def create_form(self, obj: Any = None) -> AgentForm:
        form: AgentForm = super().create_form(obj)
        if not form.llm_configs.entries:
            form.llm_configs.append_entry()  # a primary to fill in
        return form

    def render(self, template: str, **kwargs: Any) -> str:
        """The form needs an empty step to copy, and what each step has stored."""
        if template == self.edit_template:
            agent = kwargs.get("model")
            steps = agent.llm_configs if agent is not None else []
            kwargs["keys_set"] = {step.id for step in steps if step.api_key_set}
            kwargs["blank_step"] = StepForm(prefix="llm_configs-__-")
            kwargs["providers"] = providers()
        return str(super().render(template, **kwargs))


def _chain_in_words(agent: Agent) -> list[str]:
    return [f"{step.provider.name}/{step.model_name}" for step in agent.llm_configs]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
