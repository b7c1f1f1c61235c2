"""Anthropic."""

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models
from app.providers.adapters.openai import model_ids

API_VERSION = "2023-06-01"


class AnthropicAdapter(Adapter):
    """A key in ``x-api-key`` and ``GET {base_url}/models``."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        headers = target.key_header("x-api-key") | {"anthropic-version": API_VERSION}
        # Pages of 20 unless told; all of them fit into one.
        answer = http.get_json(target.url("/models?limit=1000"), headers)
        return list_models(target, answer, model_ids)


ANTHROPIC = AnthropicAdapter(
    type="anthropic",
    label="Anthropic Claude",
    default_base_url="https://api.anthropic.com/v1",
    aliases=("claude",),
    completions_path="/messages",
)
