"""Writing how an agent speaks and listens: a provider and settings that its adapter declares."""

from typing import Any

from app.agents.models import Agent, SpeechConfig
from app.agents.provider_choice import choose_provider
from app.agents.resolution import target_of
from app.core.crypto import Secret
from app.core.db import db
from app.core.errors import Invalid
from app.providers.adapters import get_adapter, list_types
from app.providers.adapters.settings import check_settings
from app.providers.models import Capability, Provider

FIELD_OF = {Capability.TTS: "tts_provider_config", Capability.STT: "stt_provider_config"}
NOT_SETTINGS = frozenset({"provider", "provider_id", "api_key"})


def write_speech(agent: Agent, data: dict[str, Any]) -> None:
    """Take the speech fields out of an agent's ``data`` and store them; null removes one.

    Only the sent settings change, until the provider does: what another takes is for it to say.
    Raises Invalid naming ``tts_provider_config.<field>``.
    """
    for capability, field in FIELD_OF.items():
        if field not in data:
            continue
        sent = data.pop(field)
        if sent is None:
            _remove(agent, capability)
        else:
            _write(agent, capability, sent, field)


def find_speech(agent: Agent, capability: Capability) -> SpeechConfig | None:
    """The agent's own configuration of this capability."""
    return next((it for it in agent.speech_configs if it.capability is capability), None)


def as_a_whole(capability: Capability, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as what replaces all that are stored: those that are not among them go."""
    adapters = (get_adapter(name, capability) for name in list_types(capability))
    names = (setting.name for adapter in adapters for setting in adapter.settings)
    return {**dict.fromkeys(names), **settings}


def _remove(agent: Agent, capability: Capability) -> None:
    speech = find_speech(agent, capability)
    if speech is not None:
        db.session.delete(speech)


def _write(agent: Agent, capability: Capability, sent: dict[str, Any], field: str) -> None:
    speech = find_speech(agent, capability)
    if speech is None and not (sent.get("provider") or sent.get("provider_id")):
        raise Invalid.field(f"{field}.provider", "Missing data for required field.")
    sent_as = {name: f"{field}.{name}" for name in ("provider", "provider_id")}
    before = target_of(speech) if speech else None
    provider = speech.provider if speech else None
    if sent.get("provider") or sent.get("provider_id"):
        provider = choose_provider(sent, sent_as, capability, kept=provider)
    assert provider is not None
    settings = _settings(speech, provider, sent, field)
    if speech is None:
        speech = SpeechConfig(capability=capability)
        agent.speech_configs.append(speech)
    if speech.provider is not provider:
        speech.provider, speech.provider_id = provider, provider.id
    if speech.settings != settings:
        speech.settings = settings
    if "api_key" in sent:
        speech.set_api_key(Secret(sent["api_key"]) if sent["api_key"] else None)
    elif before is not None and target_of(speech) != before and speech.api_key_set:
        speech.set_api_key(None)  # a key never follows a configuration to another origin


def _settings(
    speech: SpeechConfig | None, provider: Provider, sent: dict[str, Any], field: str
) -> dict[str, Any]:
    declared = get_adapter(provider.type, provider.capability).settings
    names = {setting.name for setting in declared}
    stored = speech.settings if speech is not None and speech.provider is provider else {}
    kept = {name: value for name, value in stored.items() if name in names}
    given = {name: value for name, value in sent.items() if name not in NOT_SETTINGS}
    return check_settings(declared, kept | given, field)
