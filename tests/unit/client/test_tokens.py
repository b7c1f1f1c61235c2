"""Token counts in one sense, from answers as the providers give them."""

from types import SimpleNamespace
from typing import Any

import pytest
from switchyard_client._tokens import StreamedCounts, normalise, raw_counts


def counts(reply: object) -> dict[str, int]:
    return normalise(raw_counts(reply))


def objects(value: Any) -> Any:
    """The same answer as an SDK's object."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: objects(item) for name, item in value.items()})
    return value


CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-4.1-2025",
    "choices": [{"message": {"content": "secret words"}}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
}
RESPONSE = {
    "usage": {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens_details": {"reasoning_tokens": 20},
    }
}
ANTHROPIC = {
    "usage": {
        "input_tokens": 30,
        "output_tokens": 50,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
    }
}
LANGCHAIN = {
    "usage_metadata": {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "input_token_details": {"cache_read": 60, "cache_creation": 10},
        "output_token_details": {"reasoning": 20},
    }
}
GEMINI = {
    "usage_metadata": {
        "prompt_token_count": 100,
        "candidates_token_count": 30,
        "thoughts_token_count": 20,
        "cached_content_token_count": 60,
        "total_token_count": 150,
    }
}
DETAILS = {"cached_input_tokens": 60, "reasoning_tokens": 20}
TOTALS = {"input_tokens": 100, "output_tokens": 50}


@pytest.mark.parametrize("shape", [dict, objects], ids=["dicts", "objects"])
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (CHAT, TOTALS | DETAILS),
        (RESPONSE, TOTALS | DETAILS | {"cache_write_tokens": 10}),
        (
            ANTHROPIC,
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "cached_input_tokens": 60,
                "cache_write_tokens": 10,
                "cache_write_1h_tokens": 4,
                "web_searches": 2,
            },
        ),
        (LANGCHAIN, TOTALS | DETAILS | {"cache_write_tokens": 10}),
        (GEMINI, TOTALS | DETAILS),
        ({"message": {"content": "x"}, "prompt_eval_count": 100, "eval_count": 50}, TOTALS),
        (
            {
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 50,
                    "prompt_cache_hit_tokens": 60,
                }
            },
            TOTALS | {"cached_input_tokens": 60},
        ),
        (CHAT["usage"], TOTALS | DETAILS),
        (
            {"usage": {"input_tokens": 1, "output_tokens": 0}},
            {"input_tokens": 1, "output_tokens": 0},
        ),
        ({"choices": []}, {}),
        ({"usage": None}, {}),
    ],
    ids=[
        "openai-chat",
        "openai-responses",
        "anthropic",
        "langchain",
        "gemini",
        "ollama",
        "deepseek",
        "bare-usage",
        "no-output",
        "no-usage",
        "null-usage",
    ],
)
def test_whole_answers(reply: Any, expected: dict[str, int], shape: Any) -> None:
    assert counts(shape(reply)) == expected


def test_reasoning_counted_beside_the_output_is_put_into_it() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 150,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    assert counts({"usage": usage}) == TOTALS | {"reasoning_tokens": 20}


@pytest.mark.parametrize("reply", [None, "text", b"text", 7, [], object(), {"usage": lambda: 1}])
def test_what_has_no_counts(reply: object) -> None:
    assert counts(reply) == {}


@pytest.mark.parametrize("wrong", [-1, "5", 1.5, True])
def test_what_is_no_count(wrong: object) -> None:
    assert raw_counts({"usage": {"prompt_tokens": wrong}}) == {}


def streamed(*chunks: object) -> StreamedCounts:
    result = StreamedCounts()
    for chunk in chunks:
        result.add(chunk)
    return result


@pytest.mark.parametrize("shape", [dict, objects], ids=["dicts", "objects"])
def test_openais_last_chunk_has_them(shape: Any) -> None:
    head = {"id": "c", "model": "gpt", "object": "chat.completion.chunk", "usage": None}
    result = streamed(shape(head), shape(head | {"choices": [], "usage": CHAT["usage"]}))
    assert result.normalised() == TOTALS | DETAILS
    assert result.head == shape(head)


@pytest.mark.parametrize("shape", [dict, objects], ids=["dicts", "objects"])
def test_anthropics_first_and_last_have_them(shape: Any) -> None:
    start = ANTHROPIC["usage"] | {"output_tokens": 1}
    message = {"id": "msg", "model": "claude", "usage": start}
    result = streamed(
        shape({"type": "message_start", "message": message}),
        shape({"type": "content_block_delta", "delta": {"text": "x"}}),
        shape({"type": "message_delta", "usage": {"output_tokens": 50, "input_tokens": None}}),
        shape({"type": "message_stop"}),
    )
    assert result.normalised()["input_tokens"] == 100
    assert result.normalised()["output_tokens"] == 50
    assert result.head == shape(message)


def test_the_response_at_the_end_of_a_responses_stream_has_them() -> None:
    done = {"type": "response.completed", "response": RESPONSE | {"id": "r", "model": "gpt"}}
    result = streamed({"type": "response.output_text.delta", "delta": "x"}, done)
    assert result.normalised()["input_tokens"] == 100
    assert result.head == done["response"]


def test_langchains_chunks_add_up() -> None:
    first = {"usage_metadata": {"input_tokens": 100, "output_tokens": 0, "total_tokens": 100}}
    last = {"usage_metadata": {"input_tokens": 0, "output_tokens": 50, "total_tokens": 50}}
    assert streamed(first, {"content": "x"}, last).normalised() == TOTALS


def test_gemini_counts_up() -> None:
    early = {"usage_metadata": {"prompt_token_count": 100, "candidates_token_count": 3}}
    assert streamed(early, GEMINI).normalised() == TOTALS | DETAILS
