"""Google's Gemini API."""

from typing import Any

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models


class GoogleAdapter(Adapter):
    """A key in ``x-goog-api-key`` (never in the URL, which gets logged) and ``GET /models``."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = http.get_json(target.url("/models"), target.key_header("x-goog-api-key"))
        return list_models(target, answer, _names)


def _names(document: Any) -> list[str]:
    return [model["name"].removeprefix("models/") for model in document["models"]]


GOOGLE = GoogleAdapter(
    type="google",
    label="Google Gemini",
    default_base_url="https://generativelanguage.googleapis.com/v1beta",
)
