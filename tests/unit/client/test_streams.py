"""What counts as the first token."""

from types import SimpleNamespace
from typing import Any

import pytest
from switchyard_client._streams import carries_content


def chat_chunk(*deltas: Any, finish: str | None = None) -> dict[str, Any]:
    choices = [{"delta": delta, "finish_reason": finish} for delta in deltas]
    return {"object": "chat.completion.chunk", "choices": choices}


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "message_start", "message": {}},
        {"type": "ping"},
        SimpleNamespace(type="response.created"),
        chat_chunk(),
        chat_chunk({"role": "assistant", "content": ""}),
        chat_chunk(SimpleNamespace(role="assistant", content=None, tool_calls=None)),
    ],
)
def test_announcements(chunk: object) -> None:
    assert not carries_content(chunk)


@pytest.mark.parametrize(
    "chunk",
    [
        "text",
        b"data: {}",
        {"type": "content_block_delta"},
        SimpleNamespace(type="response.output_text.delta"),
        chat_chunk({"content": "Hi"}),
        chat_chunk(SimpleNamespace(role=None, content=None, tool_calls=[{"index": 0}])),
        chat_chunk(SimpleNamespace(role=None, model_extra={"reasoning_content": "Hm"})),
        chat_chunk({}, finish="stop"),
        {"type": ["no", "hash"]},
        {"object": "chat.completion.chunk", "choices": 7},
    ],
)
def test_content(chunk: object) -> None:
    assert carries_content(chunk)
