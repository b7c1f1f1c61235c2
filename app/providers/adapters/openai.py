"""OpenAI, and the wire that most others speak as well."""

from dataclasses import dataclass
from typing import Any

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models


@dataclass(frozen=True, kw_only=True)
class OpenAIAdapter(Adapter):
    """A Bearer key and ``GET {base_url}/models``."""

    completions_path: str | None = "/chat/completions"

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        headers = target.key_header("Authorization", "Bearer ")
        answer = http.get_json(target.url("/models"), headers)
        return list_models(target, answer, model_ids)


def model_ids(document: Any) -> list[str]:
    """The ids of ``{"data": [{"id": ...}]}``; some send the bare list."""
    rows = document if isinstance(document, list) else document["data"]
    return [row["id"] for row in rows]


OPENAI = OpenAIAdapter(type="openai", label="OpenAI", default_base_url="https://api.openai.com/v1")
