"""Speech: text to speech and speech to text."""

from dataclasses import dataclass

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, reason_of
from app.providers.adapters.openai import OpenAIAdapter
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


SPEECH: tuple[Adapter, ...] = (
    ReachableAdapter(
        type="async.ai",
        label="async.ai",
        default_base_url="https://api.async.com",
        capability=Capability.TTS,
    ),
    OpenAIAdapter(
        type="openai",
        label="OpenAI speech",
        default_base_url="https://api.openai.com/v1",
        capability=Capability.TTS,
    ),
    ReachableAdapter(
        type="whisper.local",
        label="Whisper (local)",
        default_base_url="http://127.0.0.1:8080",
        needs_key=False,
        capability=Capability.STT,
    ),
    OpenAIAdapter(
        type="openai",
        label="OpenAI transcription",
        default_base_url="https://api.openai.com/v1",
        capability=Capability.STT,
    ),
)
