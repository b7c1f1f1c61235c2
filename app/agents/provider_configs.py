"""Row A9: an agent's LLM, TTS and STT in the shape that voice agents know them by."""

import hashlib
import json
from typing import Any

from marshmallow import fields

from app.agents.effective import ProviderConfigs
from app.agents.models import LLMConfig, SpeechConfig
from app.agents.resolution import Resolved, effective_endpoint, effective_key
from app.agents.schemas import reveal_key
from app.core.rest import Schema
from app.providers.adapters import get_adapter
from app.providers.keys import environment_key
from app.providers.models import Capability

ALWAYS_SHOWN = {
    Capability.TTS: ("voice_id", "model_id", "sample_rate"),
    Capability.STT: ("url", "path"),
}


class ProviderConfigsOut(Schema):
    """Row A9; each is null where nothing is configured."""

    llm_provider_config = fields.Dict(allow_none=True)
    tts_provider_config = fields.Dict(allow_none=True)
    stt_provider_config = fields.Dict(allow_none=True)


def dump_provider_configs(configs: ProviderConfigs, *, reveal: bool) -> dict[str, Any]:
    """Row A9; ``reveal`` puts the keys in."""
    return {
        "llm_provider_config": _dump_llm(configs.llm, reveal),
        "tts_provider_config": _dump_speech(configs.tts, reveal),
        "stt_provider_config": _dump_speech(configs.stt, reveal),
    }


def stamp_of(configs: ProviderConfigs) -> str:
    """Another one for every other content; a key counts by its id."""
    content = json.dumps(dump_provider_configs(configs, reveal=False))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _dump_llm(resolved: Resolved | None, reveal: bool) -> dict[str, Any] | None:
    if resolved is None:
        return None
    step = resolved.steps[0]
    usual_path = get_adapter(step.provider.type).completions_path
    return {
        "provider": step.provider.type,
        "model": step.model_name,
        "api_url": effective_endpoint(step),
        "completions_path": step.metadata_.get("completions_path", usual_path),
        "timeout": step.timeout,
        "temperature": step.temperature,
        "top_p": step.top_p,
        "max_tokens": step.max_tokens,
        **_dump_key(step, reveal),
    }


def _dump_speech(speech: SpeechConfig | None, reveal: bool) -> dict[str, Any] | None:
    if speech is None:
        return None
    shown = dict.fromkeys(ALWAYS_SHOWN[speech.capability])
    return {
        "provider": speech.provider.type,
        **shown,
        "url": effective_endpoint(speech),
        **{name: value for name, value in speech.settings.items() if name != "url"},
        **_dump_key(speech, reveal),
    }


def _dump_key(holder: LLMConfig | SpeechConfig, reveal: bool) -> dict[str, Any]:
    key = effective_key(holder, environment_key)
    shown = reveal_key(key) if reveal else None
    return {"api_key": shown, "api_key_id": key.key_id if key else None}
