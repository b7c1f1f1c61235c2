"""Speech: text to speech and speech to text."""

import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from urllib3.filepost import encode_multipart_formdata

from app.core.handshake import open_websocket
from app.core.http import Answer, Outbound, parsed
from app.providers.adapters.base import (
    Adapter,
    ProbeResult,
    Target,
    make_call,
    quote_words,
    reason_of,
)
from app.providers.adapters.calls import CallResult, Reply, path_of, pick
from app.providers.adapters.openai import OpenAIAdapter, bearer
from app.providers.adapters.settings import Kind, SettingField
from app.providers.models import Capability

SPOKEN = "OK"
USUAL_VOICE = "alloy"
NO_WEBSOCKET = "Something answers there, but it opens no WebSocket: is the path right?"

THERE = (400, 404, 405, 426, 501)
"""What a server says that is alive, and was not asked in its own way."""
NO_SOUND = ("text/", "application/json")


class AsyncAdapter(Adapter):
    """async.ai: a key in ``x-api-key``. It lists voices, which need the key, and no models."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = http.post_json(target.url("/voices"), {"limit": 1}, _async_headers(target))
        return _reachable(target, answer)

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        rate = parameters.get("sample_rate") or 8000
        body = {
            "model_id": model,
            "transcript": SPOKEN,
            "voice": {"mode": "id", "id": parameters.get("voice_id")},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": rate},
            **pick(parameters, language="language"),
        }
        url, headers = target.url("/text_to_speech"), _async_headers(target)
        return make_call(target, lambda: _sound(http.post_json(url, body, headers)), _read_sound)


class WhisperAdapter(Adapter):
    """Whisper on one's own machine: a WebSocket where ``path`` is named, else any HTTP server."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = _open(target, target.options, http)
        if not target.options.get("path"):
            return _reachable(target, answer)
        reason = reason_of(target, _insist(answer))
        return ProbeResult(reason is None, answer.status, error=reason)

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        where = {**target.options, **parameters}
        return make_call(target, lambda: _insist(_open(target, where, http)), lambda _: Reply())


@dataclass(frozen=True, kw_only=True)
class OpenAISpeechAdapter(OpenAIAdapter):
    """Says one word."""

    completions_path: str | None = None

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        voice = parameters.get("voice_id") or USUAL_VOICE
        named = pick(parameters, output_format="response_format", speed="speed")
        body = {"model": model, "input": SPOKEN, "voice": voice, **named}
        url = target.url(_path(parameters, "/audio/speech"))
        headers = {**bearer(target), "Accept": "*/*"}
        return make_call(target, lambda: _sound(http.post_json(url, body, headers)), _read_sound)


@dataclass(frozen=True, kw_only=True)
class OpenAITranscriptionAdapter(OpenAIAdapter):
    """Listens to a moment of silence."""

    completions_path: str | None = None

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        recording = ("silence.wav", _silence(), "audio/wav")
        form = {"model": model, "file": recording, **pick(parameters, language="language")}
        body, content_type = encode_multipart_formdata(form)
        url = target.url(_path(parameters, "/audio/transcriptions"))
        headers = {**bearer(target), "Content-Type": content_type}
        return make_call(target, lambda: parsed(http.post(url, body, headers)), _read_text)


def _reachable(target: Target, answer: Answer) -> ProbeResult:
    """For endpoints without a free list: that something of the kind is there will do."""
    reason = None if answer.status in THERE else reason_of(target, answer)
    error = quote_words(target, answer, reason) if reason else None
    return ProbeResult(reason is None, answer.status, error=error)


def _async_headers(target: Target) -> dict[str, str]:
    return target.key_header("x-api-key") | {"version": "v1", "Accept": "*/*"}


def _path(parameters: Mapping[str, Any], usual: str) -> str:
    return path_of({"completions_path": parameters.get("path")}, usual)


def _open(target: Target, where: Mapping[str, Any], http: Outbound) -> Answer:
    return open_websocket(http, target.url(_path(where, "")), bearer(target))


def _insist(answer: Answer) -> Answer:
    """An answer that is none but a WebSocket's counts as an error."""
    if answer.error or answer.status is None or answer.status == 101:
        return answer
    if answer.status >= 400:
        return parsed(answer)  # its words may say why
    return replace(answer, error=NO_WEBSOCKET)


def _sound(answer: Answer) -> Answer:
    """Sound is no JSON, and there may be more of it than is read."""
    kind = answer.headers.get("Content-Type", "")
    is_sound = answer.status == 200 and answer.body and not kind.startswith(NO_SOUND)
    return replace(answer, error=None) if is_sound else answer


def _read_sound(answer: Answer) -> Reply:
    if answer.json is not None:
        raise TypeError("JSON is no sound")
    return Reply()


def _read_text(answer: Answer) -> Reply:
    return Reply(answer.json["text"])


def _silence() -> bytes:
    """A fifth of a second of it, as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(8000)
        recording.writeframes(bytes(3200))
    return file.getvalue()


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
    AsyncAdapter(
        type="async.ai",
        label="async.ai",
        default_base_url="https://api.async.com",
        capability=Capability.TTS,
        settings=(VOICE_ID, MODEL_ID, SAMPLE_RATE, LANGUAGE, FORMAT, SPEED, URL, PATH),
    ),
    OpenAISpeechAdapter(
        type="openai",
        label="OpenAI speech",
        default_base_url="https://api.openai.com/v1",
        capability=Capability.TTS,
        settings=(VOICE_ID, MODEL_ID, SAMPLE_RATE, FORMAT, SPEED, URL, PATH),
    ),
    WhisperAdapter(
        type="whisper.local",
        label="Whisper (local)",
        default_base_url="http://127.0.0.1:8080",
        needs_key=False,
        capability=Capability.STT,
        settings=(URL, PATH, MODEL_ID, LANGUAGE, SAMPLE_RATE),
    ),
    OpenAITranscriptionAdapter(
        type="openai",
        label="OpenAI transcription",
        default_base_url="https://api.openai.com/v1",
        capability=Capability.STT,
        settings=(URL, PATH, MODEL_ID, LANGUAGE, SAMPLE_RATE),
    ),
)
