"""Ollama: models on one's own machine."""

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models


class OllamaAdapter(Adapter):
    """Lists models at ``/api/tags``, beside the OpenAI-like ``/v1`` that agents may be given."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        root = target.base_url.rstrip("/").removesuffix("/v1")
        # A bare Ollama takes no key, a proxy before it may.
        answer = http.get_json(root + "/api/tags", target.key_header("Authorization", "Bearer "))
        return list_models(target, answer, lambda document: _names(document["models"]))


def _names(models: list[dict[str, str]]) -> list[str]:
    return [model["name"] for model in models]


OLLAMA = OllamaAdapter(
    type="ollama",
    label="Ollama",
    default_base_url="http://127.0.0.1:11434",
    needs_key=False,
    completions_path="/api/chat",
)
