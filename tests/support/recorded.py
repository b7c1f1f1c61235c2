"""What providers really send: the shapes of their answers and errors, by type.

Written down after the providers' own references; names and numbers are made up.
"""

from typing import Any, NamedTuple

OPENAI_COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1763600000,
    "model": "model-1-2026-01-01",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "OK", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 13, "completion_tokens": 2, "total_tokens": 15},
}
ANTHROPIC_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "model-1-2026-01-01",
    "content": [{"type": "text", "text": "OK"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 13, "output_tokens": 2, "cache_read_input_tokens": 0},
}
GOOGLE_CONTENT = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "OK"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 13, "candidatesTokenCount": 2, "totalTokenCount": 15},
    "modelVersion": "model-1-2026-01-01",
}
OLLAMA_CHAT = {
    "model": "model-1-2026-01-01",
    "created_at": "2026-11-20T00:00:00Z",
    "message": {"role": "assistant", "content": "OK"},
    "done": True,
    "done_reason": "stop",
    "total_duration": 1234567,
    "prompt_eval_count": 13,
    "eval_count": 2,
}


class Recorded(NamedTuple):
    """One type's shapes. ``error(words)`` wraps words as it does."""

    completion: Any
    error: Any


def _openai_error(words: str) -> Any:
    return {"error": {"message": words, "type": "invalid_request_error", "code": "x"}}


def _anthropic_error(words: str) -> Any:
    return {"type": "error", "error": {"type": "x_error", "message": words}, "request_id": "r"}


def _google_error(words: str) -> Any:
    return [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]


def _ollama_error(words: str) -> Any:
    return {"error": words}


def _grok_error(words: str) -> Any:
    return {"code": "Client specified an invalid argument", "error": words}


def _vllm_error(words: str) -> Any:
    return {"object": "error", "message": words, "type": "NotFoundError", "param": None}


def _mistral_error(words: str) -> Any:
    return {"object": "error", "message": {"detail": [{"loc": ["body"], "msg": words}]}}


def _openrouter_error(words: str) -> Any:
    return {"error": {"code": 429, "message": words, "metadata": {"provider_name": "x"}}}


def _fastapi_error(words: str) -> Any:
    return {"detail": words}


RECORDED = {
    "openai": Recorded(OPENAI_COMPLETION, _openai_error),
    "openai_compatible": Recorded(OPENAI_COMPLETION, _fastapi_error),
    "vllm": Recorded(OPENAI_COMPLETION, _vllm_error),
    "deepseek": Recorded(OPENAI_COMPLETION, _openai_error),
    "grok": Recorded(OPENAI_COMPLETION, _grok_error),
    "groq": Recorded(OPENAI_COMPLETION, _openai_error),
    "mistral": Recorded(OPENAI_COMPLETION, _mistral_error),
    "openrouter": Recorded(OPENAI_COMPLETION, _openrouter_error),
    "anthropic": Recorded(ANTHROPIC_MESSAGE, _anthropic_error),
    "google": Recorded(GOOGLE_CONTENT, _google_error),
    "ollama": Recorded(OLLAMA_CHAT, _ollama_error),
}
