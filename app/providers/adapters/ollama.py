"""Ollama: models on one's own machine."""

from collections.abc import Mapping
from typing import Any

from app.core.http import Answer, Outbound
from app.providers.adapters.base import Adapter, ProbeResult, Target, list_models, make_call
from app.providers.adapters.calls import PROMPT, CallResult, Reply, path_of, pick, token_limit
from app.providers.adapters.openai import COMPLETIONS_PATH, bearer, complete_chat

CHAT_PATH = "/api/chat"


class OllamaAdapter(Adapter):
    """Lists models at ``/api/tags`` and chats at ``/api/chat``, beside the OpenAI-like ``/v1`` that
    agents may be given."""

    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        root = target.base_url.rstrip("/").removesuffix("/v1")
        # A bare Ollama takes no key, a proxy before it may.
        answer = http.get_json(root + "/api/tags", bearer(target))
        return list_models(target, answer, lambda document: _names(document["models"]))

    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        is_openai_like = target.base_url.rstrip("/").endswith("/v1")
        path = path_of(parameters, COMPLETIONS_PATH if is_openai_like else CHAT_PATH)
        if path.endswith(COMPLETIONS_PATH):
            return complete_chat(target, model, {**parameters, "completions_path": path}, http)
        options = {"num_predict": token_limit(parameters)}
        body = {
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "stream": False,
            "options": options | pick(parameters, temperature="temperature", top_p="top_p"),
        }
        url = target.url(path)
        return make_call(target, lambda: http.post_json(url, body, bearer(target)), _read_chat)


def _names(models: list[dict[str, str]]) -> list[str]:
    return [model["name"] for model in models]


def _read_chat(answer: Answer) -> Reply:
    document = answer.json
    return Reply(
        document["message"].get("content"),
        document.get("model"),
        document.get("prompt_eval_count"),
        document.get("eval_count"),
    )


OLLAMA = OllamaAdapter(
    type="ollama",
    label="Ollama",
    default_base_url="http://127.0.0.1:11434",
    needs_key=False,
    completions_path=CHAT_PATH,
    usual_model="mistral:7b-instruct",
)
