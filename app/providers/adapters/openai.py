"""OpenAI, and the wire that most others speak as well."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.core.http import Answer, Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models, make_call
from app.providers.adapters.calls import PROMPT, CallResult, Reply, path_of, pick, token_limit

COMPLETIONS_PATH = "/chat/completions"
# These count their reasoning as well, and refuse the limit under its old name.
_REASONING = re.compile(r"(?:.*/)?(?:o\d|gpt-[5-9])")
# All that was allowed went into reasoning: whoever says so has taken key, model and parameters.
_RAN_OUT = "model output limit was reached"


@dataclass(frozen=True, kw_only=True)
class OpenAIAdapter(Adapter):
    """A Bearer key, ``GET {base_url}/models`` and ``POST {base_url}/chat/completions``."""

    completions_path: str | None = COMPLETIONS_PATH

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        answer = http.get_json(target.url("/models"), bearer(target))
        return list_models(target, answer, model_ids)

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        return complete_chat(target, model, parameters, http)


def bearer(target: Target) -> dict[str, str]:
    """The key as OpenAI takes it."""
    return target.key_header("Authorization", "Bearer ")


def model_ids(document: Any) -> list[str]:
    """The ids of ``{"data": [{"id": ...}]}``; some send the bare list."""
    rows = document if isinstance(document, list) else document["data"]
    return [row["id"] for row in rows]


def complete_chat(
    target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
) -> CallResult:
    """A minimal chat completion over OpenAI's wire."""
    limit = "max_completion_tokens" if _REASONING.match(model) else "max_tokens"
    body = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        limit: token_limit(parameters),
        **pick(parameters, temperature="temperature", top_p="top_p"),
    }
    url = target.url(path_of(parameters, COMPLETIONS_PATH))
    result = make_call(target, lambda: http.post_json(url, body, bearer(target)), _read_completion)
    if result.http_status == 400 and _RAN_OUT in (result.error or ""):
        return replace(result, ok=True, error=None)
    return result


def _read_completion(answer: Answer) -> Reply:
    document = answer.json
    message = document["choices"][0]["message"]
    usage = document.get("usage") or {}
    return Reply(
        message.get("content"),
        document.get("model"),
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
    )


OPENAI = OpenAIAdapter(type="openai", label="OpenAI", default_base_url="https://api.openai.com/v1")
