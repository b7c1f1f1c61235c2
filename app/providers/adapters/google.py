"""Google's Gemini API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from app.core.http import Answer, Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models, make_call
from app.providers.adapters.calls import PROMPT, CallResult, Reply, pick, token_limit
from app.providers.adapters.openai import complete_chat

# Names only, and all of them: a page is 50 long descriptions unless told.
LIST_PATH = "/models?pageSize=1000&fields=models.name"


class GoogleAdapter(Adapter):
    """A key in ``x-goog-api-key`` (never in the URL, which gets logged), ``GET /models`` and
    ``POST /models/{model}:generateContent``."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = http.get_json(target.url(LIST_PATH), target.key_header("x-goog-api-key"))
        return list_models(target, answer, _names)

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        if target.base_url.rstrip("/").endswith("/openai"):
            return complete_chat(target, model, parameters, http)
        wanted = {"maxOutputTokens": token_limit(parameters)}
        body = {
            "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
            "generationConfig": wanted | pick(parameters, temperature="temperature", top_p="topP"),
        }
        name = quote(model.removeprefix("models/"), safe="")
        url = target.url(f"/models/{name}:generateContent")
        headers = target.key_header("x-goog-api-key")
        return make_call(target, lambda: http.post_json(url, body, headers), _read_content)


def _names(document: Any) -> list[str]:
    return [model["name"].removeprefix("models/") for model in document["models"]]


def _read_content(answer: Answer) -> Reply:
    document = answer.json
    # Where all tokens went into thinking, a candidate has no parts.
    parts = document["candidates"][0].get("content", {}).get("parts", [])
    usage = document.get("usageMetadata") or {}
    return Reply(
        "".join(part.get("text", "") for part in parts),
        document.get("modelVersion"),
        usage.get("promptTokenCount"),
        usage.get("candidatesTokenCount"),
    )


GOOGLE = GoogleAdapter(
    type="google",
    label="Google Gemini",
    default_base_url="https://generativelanguage.googleapis.com/v1beta",
)
