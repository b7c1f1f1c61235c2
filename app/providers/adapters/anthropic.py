"""Anthropic."""

from collections.abc import Mapping
from typing import Any

from app.core.http import Answer, Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models, make_call
from app.providers.adapters.calls import PROMPT, CallResult, Reply, path_of, pick, token_limit
from app.providers.adapters.openai import model_ids

API_VERSION = "2023-06-01"
MESSAGES_PATH = "/messages"


class AnthropicAdapter(Adapter):
    """A key in ``x-api-key``, ``GET {base_url}/models`` and ``POST {base_url}/messages``."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        # Pages of 20 unless told; all of them fit into one.
        answer = http.get_json(target.url("/models?limit=1000"), _headers(target))
        return list_models(target, answer, model_ids)

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": token_limit(parameters),
            **pick(parameters, temperature="temperature", top_p="top_p"),
        }
        url = target.url(path_of(parameters, MESSAGES_PATH))
        return make_call(target, lambda: http.post_json(url, body, _headers(target)), _read_message)


def _headers(target: Target) -> dict[str, str]:
    return target.key_header("x-api-key") | {"anthropic-version": API_VERSION}


def _read_message(answer: Answer) -> Reply:
    document = answer.json
    texts = [block["text"] for block in document["content"] if block.get("type") == "text"]
    usage = document.get("usage") or {}
    return Reply(
        "".join(texts),
        document.get("model"),
        usage.get("input_tokens"),
        usage.get("output_tokens"),
    )


ANTHROPIC = AnthropicAdapter(
    type="anthropic",
    label="Anthropic Claude",
    default_base_url="https://api.anthropic.com/v1",
    aliases=("claude",),
    completions_path=MESSAGES_PATH,
)
