"""Speech: text to speech and speech to text."""

from dataclasses import dataclass

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, reason_of
from app.providers.adapters.openai import OpenAIAdapter
from app.providers.adapters.settings import Kind, SettingField
from app.providers.models import Capability


@dataclass(frozen=True, kw_only=True)
class ReachableAdapter(Adapter):
    """For endpoints without a free list: any answer but a refused key or a failure will do."""

    key_header_name: str = "x-api-key"

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = http.get(target.base_url, target.key_header(self.key_header_name))
        reason = reason_of(target, answer)
        status = answer.status
        alive = status is not None and status < 500 and status not in (401, 403)
        return ProbeResult(alive, status, error=None if alive else reason)


VOICE_ID = SettingField("voice_id", Kind.TEXT, "The voice that speaks.")
MODEL_ID = SettingField("model_id", Kind.TEXT, "The model.")
LANGUAGE = SettingField("language", Kind.TEXT, "Language code, e.g. en.")
SAMPLE_RATE = SettingField("sample_rate", Kind.INTEGER, "Samples a second.", low=8000, high=192_000)
SPEED = SettingField("speed", Kind.NUMBER, "1 = as recorded.", low=0.25, high=4)
FORMAT = SettingField("output_format", Kind.TEXT, "Audio format, e.g. pcm_s16le or mp3.")
URL = SettingField(
    "url",
    Kind.URL,
    "The endpoint, where it is not the provider's.",
    schemes=("http", "https", "ws", "wss"),
)
PATH = SettingField("path", Kind.PATH, "The path below the URL, e.g. /ws/transcribe.")

SPEECH: tuple[Adapter, ...] = (
    ReachableAdapter(
        type="async.ai",
        label="async.ai",
        default_base_url="https://api.async.com",
        capability=Capability.TTS,
        settings=(VOICE_ID, MODEL_ID, SAMPLE_RATE, LANGUAGE, FORMAT, SPEED, URL, PATH),
    ),
    OpenAIAdapter(
        type="openai",
        label="OpenAI speech",
        default_base_url="https://api.openai.com/v1",
        capability=Capability.TTS,
        settings=(VOICE_ID, MODEL_ID, SAMPLE_RATE, FORMAT, SPEED, URL, PATH),
    ),
    ReachableAdapter(
        type="whisper.local",
        label="Whisper (local)",
        default_base_url="http://127.0.0.1:8080",
        needs_key=False,
        capability=Capability.STT,
        settings=(URL, PATH, MODEL_ID, LANGUAGE, SAMPLE_RATE),
    ),
    OpenAIAdapter(
        type="openai",
        label="OpenAI transcription",
        default_base_url="https://api.openai.com/v1",
        capability=Capability.STT,
        settings=(URL, PATH, MODEL_ID, LANGUAGE, SAMPLE_RATE),
    ),
)
