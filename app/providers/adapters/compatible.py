"""Everybody who speaks OpenAI's wire: one row a type."""

from app.core.http import Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, quote_words, reason_of
from app.providers.adapters.openai import OpenAIAdapter, bearer


class OpenRouterAdapter(OpenAIAdapter):
    """Asks about the key: the list of models is public, so it proves none, and is too large."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = http.get_json(target.url("/key"), bearer(target))
        if reason := reason_of(target, answer):
            return ProbeResult(False, answer.status, error=quote_words(target, answer, reason))
        return ProbeResult(True, answer.status)


COMPATIBLE: tuple[Adapter, ...] = (
    OpenAIAdapter(
        type="openai_compatible",
        label="OpenAI-compatible",
        default_base_url=None,
        needs_key=False,
    ),
    OpenAIAdapter(
        type="vllm",
        label="vLLM",
        default_base_url="http://127.0.0.1:8000/v1",
        needs_key=False,
    ),
    OpenAIAdapter(
        type="deepseek", label="DeepSeek", default_base_url="https://api.deepseek.com/v1"
    ),
    OpenAIAdapter(
        type="grok", label="xAI Grok", default_base_url="https://api.x.ai/v1", aliases=("xai",)
    ),
    OpenAIAdapter(
        type="groq",
        label="Groq",
        default_base_url="https://api.groq.com/openai/v1",
        aliases=("groq.com",),
    ),
    OpenAIAdapter(type="mistral", label="Mistral", default_base_url="https://api.mistral.ai/v1"),
    OpenRouterAdapter(
        type="openrouter",
        label="OpenRouter",
        default_base_url="https://openrouter.ai/api/v1",
    ),
)
