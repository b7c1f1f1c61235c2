"""What the chunks of a streamed answer say, whichever SDK they come from. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

# Sent before the first token: until then another step can still take over. A tuple, for what is
# compared came from outside and may be of a type that has no hash.
PREAMBLES = (
    "message_start",
    "ping",
    "response.created",
    "response.queued",
    "response.in_progress",
)


def field(source: Any, name: str) -> Any:
    """`source.name` or `source["name"]`; None where there is neither."""
    if isinstance(source, Mapping):
        return source.get(name)
    return getattr(source, name, None)


def carries_content(chunk: object) -> bool:
    """False for what only announces an answer; True for everything that is not known to."""
    if field(chunk, "type") in PREAMBLES:
        return False
    if field(chunk, "type") == "AIMessageChunk":  # LangChain's
        return any(field(chunk, name) for name in ("content", "tool_call_chunks"))
    if field(chunk, "object") != "chat.completion.chunk":
        return True
    choices = field(chunk, "choices") or ()
    return not isinstance(choices, Iterable) or any(map(_delta_says_something, choices))


def _delta_says_something(choice: object) -> bool:
    if field(choice, "finish_reason"):
        return True
    delta = field(choice, "delta")
    said = delta if isinstance(delta, Mapping) else getattr(delta, "__dict__", {})
    extras = getattr(delta, "model_extra", None) or {}
    return any(value for name, value in {**said, **extras}.items() if name != "role")
