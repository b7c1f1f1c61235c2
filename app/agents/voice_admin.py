"""Admin: how agents speak and listen. The fields are what the adapters declare."""

from typing import Any

from flask import abort, g
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro
from wtforms import BooleanField, Form, FormField, SelectField
from wtforms.fields.choices import SelectChoice

from app.admin.base import ResourceView
from app.admin.fields import KeyField, LineField, RealField, ResourceForm, WholeField, key_payload
from app.agents import services
from app.agents.models import Agent, SpeechConfig
from app.agents.schemas import AgentPatch
from app.agents.speech import FIELD_OF, find_speech
from app.core.errors import NotFound
from app.providers.adapters import get_adapter, list_types
from app.providers.adapters.settings import Kind, SettingField
from app.providers.models import Capability
from app.providers.services import list_providers

LABELS = {Capability.TTS: "Speaks (tts)", Capability.STT: "Listens (stt)"}
A_TYPE = "type:"
"""Stands before a type whose provider is registered with the save."""


def _declared(capability: Capability) -> dict[str, SettingField]:
    """Every setting that some adapter of the capability takes."""
    adapters = [get_adapter(name, capability) for name in list_types(capability)]
    return {setting.name: setting for adapter in adapters for setting in adapter.settings}


def _taken_by(capability: Capability, name: str) -> str:
    """The types that take a setting; voice.js shows it for those only."""
    types = list_types(capability)
    return " ".join(t for t in types if name in _names(t, capability))


def _names(provider_type: str, capability: Capability) -> list[str]:
    return [setting.name for setting in get_adapter(provider_type, capability).settings]


def _field(setting: SettingField) -> Any:
    label = setting.name.replace("_", " ").capitalize()
    low, high = setting.low or 0, setting.high or 1e9
    if setting.kind is Kind.INTEGER:
        return WholeField(label, low=int(low), high=int(high), description=setting.help)
    if setting.kind is Kind.NUMBER:
        return RealField(label, low=low, high=high, description=setting.help)
    return LineField(label, description=setting.help)


class SpeechForm(Form):
    """What both capabilities have in common."""

    capability: Capability

    provider_id = SelectField("Provider")
    api_key = KeyField("Own API key")
    clear_api_key = BooleanField("Clear this agent's own key")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.provider_id.choices = _provider_choices(self.capability)

    def payload(self) -> dict[str, Any] | None:
        """The configuration in A9's form; None where nothing is chosen."""
        chosen = self.provider_id.data or ""
        if not chosen:
            return None
        provider = (
            {"provider": chosen.removeprefix(A_TYPE)}
            if chosen.startswith(A_TYPE)
            else {"provider_id": int(chosen)}
        )
        settings = {name: self[name].data for name in _declared(self.capability)}
        return {**settings, **provider, **key_payload(self)}


def _form_of(capability: Capability) -> type[SpeechForm]:
    fields = {name: _field(it) for name, it in _declared(capability).items()}
    return type(f"{capability.name}Form", (SpeechForm,), {"capability": capability, **fields})


class VoiceForm(ResourceForm):
    """An agent's voice and ears."""

    tts_provider_config = FormField(_form_of(Capability.TTS), LABELS[Capability.TTS])
    stt_provider_config = FormField(_form_of(Capability.STT), LABELS[Capability.STT])

    def __init__(self, formdata: Any = None, obj: Agent | None = None, **kwargs: Any) -> None:
        stored = {} if obj is None else {FIELD_OF[kind]: _stored(obj, kind) for kind in FIELD_OF}
        super().__init__(formdata, obj=obj, data=stored, **kwargs)

    def payload(self) -> dict[str, Any]:
        return {name: self[name].form.payload() for name in FIELD_OF.values()}


class VoiceView(ResourceView):
    """Voice: which agent speaks and listens through what."""

    noun = "Voice"
    icon = "voice"
    live = "agent provider"
    form = VoiceForm
    update_schema = AgentPatch
    can_view_details = False
    list_template = "switchyard/voices.html"
    edit_template = "switchyard/voice_form.html"
    column_list = ("name", "tts", "stt")
    column_export_list = ("agent_id", "name", "tts", "stt")
    column_labels = {"tts": "Speaks", "stt": "Listens"}  # noqa: RUF012
    column_sortable_list = ("name",)
    column_formatters = {  # noqa: RUF012
        "name": macro("name_cell"),
        "tts": macro("tts_cell"),
        "stt": macro("stt_cell"),
    }
    column_formatters_export = {  # noqa: RUF012
        "tts": lambda _view, _context, agent, _name: _in_words(agent, Capability.TTS),
        "stt": lambda _view, _context, agent, _name: _in_words(agent, Capability.STT),
    }

    can_create = can_delete = False

    def _handle_view(self, name: str, **kwargs: Any) -> ResponseReturnValue | None:
        if name in {"create_view", "delete_view"}:
            abort(404)  # a voice is part of its agent
        return super()._handle_view(name, **kwargs)

    def list_query(self, args: dict[str, Any]) -> Any:
        narrowed = {"visible_to": g.caller.visible_to, "with_voices": True}
        return services.list_query(args | narrowed)

    def find(self, row_id: int) -> Agent:
        agent = services.get_agent_by_id(row_id)
        if not g.caller.sees(agent.owner_id):
            raise NotFound("There is no such agent.")
        return agent

    def update(self, row: Agent, data: dict[str, Any], version: int) -> tuple[Agent, list[str]]:
        return services.update_agent(row.agent_id, data, version)

    def name_of(self, row: Agent) -> str:
        return f"of {row.name}"

    def render(self, template: str, **kwargs: Any) -> str:
        """Both pages show what is stored."""
        kwargs["find_speech"] = find_speech
        kwargs["Capability"] = Capability
        kwargs["taken_by"] = _taken_by
        return str(super().render(template, **kwargs))


def _provider_choices(capability: Capability) -> list[SelectChoice]:
    """The providers there are, then the types that have none yet."""
    there = list_providers(capability)
    found = [SelectChoice("", "None")]
    for provider in there:
        label = provider.name if provider.is_active else f"{provider.name} (inactive)"
        taken = {"data-type": provider.type}
        found.append(SelectChoice(str(provider.id), label, render_kw=taken))
    for name in list_types(capability):
        if name not in {provider.type for provider in there}:
            label = f"{get_adapter(name, capability).label}: register it at its usual endpoint"
            found.append(SelectChoice(A_TYPE + name, label, render_kw={"data-type": name}))
    return found


def _stored(agent: Agent, capability: Capability) -> dict[str, Any]:
    speech = find_speech(agent, capability)
    return {} if speech is None else {"provider_id": str(speech.provider_id), **speech.settings}


def _in_words(agent: Agent, capability: Capability) -> str:
    speech: SpeechConfig | None = find_speech(agent, capability)
    return "" if speech is None else speech.provider.name
