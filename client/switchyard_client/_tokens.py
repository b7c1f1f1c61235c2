"""Token counts of an answer in one sense, whichever provider counted them. Pure.

The sense is OpenTelemetry's: `input_tokens` includes cached ones and those written to a cache,
`output_tokens` includes reasoning. Anthropic counts cache tokens beside its input, Gemini and xAI
reasoning beside their output. Only numbers and names are read here, never a text.
"""

from collections.abc import Mapping
from typing import Any

from ._streams import field

Counts = dict[str, int]

# Where the families keep what; a dot leads into a nested object.
PATHS = (
    "prompt_tokens",  # OpenAI's chat, LiteLLM and all who speak its language
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details.cached_tokens",
    "prompt_tokens_details.cache_write_tokens",
    "completion_tokens_details.reasoning_tokens",
    "prompt_cache_hit_tokens",  # DeepSeek
    "input_tokens",  # OpenAI's responses, Anthropic, LangChain
    "output_tokens",
    "input_tokens_details.cached_tokens",
    "input_tokens_details.cache_write_tokens",
    "output_tokens_details.reasoning_tokens",
    "output_tokens_details.thinking_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "server_tool_use.web_search_requests",
    "input_token_details.cache_read",
    "input_token_details.cache_creation",
    "input_token_details.ephemeral_5m_input_tokens",
    "input_token_details.ephemeral_1h_input_tokens",
    "output_token_details.reasoning",
    "prompt_token_count",  # Gemini
    "tool_use_prompt_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "cached_content_token_count",
    "prompt_eval_count",  # Ollama
    "eval_count",
)


def raw_counts(reply: object) -> Counts:
    """Every known count an answer, a chunk of one or a bare usage object carries."""
    holders = (field(reply, "message"), field(reply, "response"))  # events of a stream
    for source in (reply, *holders):
        for usage in (field(source, "usage"), field(source, "usage_metadata"), source):
            found = _counts_in(usage)
            if found:
                return found
    return {}


def _counts_in(usage: object) -> Counts:
    if usage is None or isinstance(usage, str | bytes):
        return {}
    found = {path: _at(usage, path) for path in PATHS}
    return {path: value for path, value in found.items() if value is not None}


def _at(source: object, path: str) -> int | None:
    value: Any = source
    for name in path.split("."):
        value = field(value, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and value >= 0 else None


def normalise(raw: Mapping[str, int]) -> Counts:
    """The counts of a usage event; empty where nothing was counted."""
    counts = _by_family(raw)
    web = raw.get("server_tool_use.web_search_requests")
    if web:
        counts["web_searches"] = web
    return counts


def _by_family(raw: Mapping[str, int]) -> Counts:
    if "prompt_tokens" in raw or "completion_tokens" in raw:
        return _chat(raw)
    if "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw:
        return _anthropic(raw)
    if "input_tokens" in raw or "output_tokens" in raw:
        return _inclusive(raw)
    if "prompt_token_count" in raw or "candidates_token_count" in raw:
        return _gemini(raw)
    if "prompt_eval_count" in raw or "eval_count" in raw:
        return _counted(raw.get("prompt_eval_count", 0), raw.get("eval_count", 0))
    return {}


def _chat(raw: Mapping[str, int]) -> Counts:
    paid, produced = raw.get("prompt_tokens", 0), raw.get("completion_tokens", 0)
    reasoning = raw.get("completion_tokens_details.reasoning_tokens", 0)
    if reasoning and raw.get("total_tokens") == paid + produced + reasoning:
        produced += reasoning  # xAI counts it beside
    return _counted(
        paid,
        produced,
        cached=_first(
            raw,
            "prompt_tokens_details.cached_tokens",
            "cache_read_input_tokens",
            "prompt_cache_hit_tokens",
        ),
        written=_first(
            raw, "prompt_tokens_details.cache_write_tokens", "cache_creation_input_tokens"
        ),
        reasoning=reasoning,
    )


def _anthropic(raw: Mapping[str, int]) -> Counts:
    cached = raw.get("cache_read_input_tokens", 0)
    written = raw.get("cache_creation_input_tokens", 0)
    return _counted(
        raw.get("input_tokens", 0) + cached + written,
        raw.get("output_tokens", 0),
        cached=cached,
        written=written,
        written_1h=raw.get("cache_creation.ephemeral_1h_input_tokens", 0),
        reasoning=raw.get("output_tokens_details.thinking_tokens", 0),
    )


def _inclusive(raw: Mapping[str, int]) -> Counts:
    hour = raw.get("input_token_details.ephemeral_1h_input_tokens", 0)
    written = (
        raw.get("input_token_details.cache_creation", 0)
        + raw.get("input_token_details.ephemeral_5m_input_tokens", 0)
        + hour
    )
    return _counted(
        raw.get("input_tokens", 0),
        raw.get("output_tokens", 0),
        cached=_first(raw, "input_tokens_details.cached_tokens", "input_token_details.cache_read"),
        written=written or raw.get("input_tokens_details.cache_write_tokens", 0),
        written_1h=hour,
        reasoning=_first(
            raw,
            "output_tokens_details.reasoning_tokens",
            "output_tokens_details.thinking_tokens",
            "output_token_details.reasoning",
        ),
    )


def _gemini(raw: Mapping[str, int]) -> Counts:
    thoughts = raw.get("thoughts_token_count", 0)
    return _counted(
        raw.get("prompt_token_count", 0) + raw.get("tool_use_prompt_token_count", 0),
        raw.get("candidates_token_count", 0) + thoughts,
        cached=raw.get("cached_content_token_count", 0),
        reasoning=thoughts,
    )


def _counted(
    paid: int,
    produced: int,
    *,
    cached: int = 0,
    written: int = 0,
    written_1h: int = 0,
    reasoning: int = 0,
) -> Counts:
    details = {
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": written_1h,
        "reasoning_tokens": reasoning,
    }
    totals = {"input_tokens": paid, "output_tokens": produced}
    return totals | {name: value for name, value in details.items() if value}


def _first(raw: Mapping[str, int], *paths: str) -> int:
    return next((raw[path] for path in paths if raw.get(path)), 0)


def _holders(chunk: object) -> tuple[object, ...]:
    return chunk, field(chunk, "message"), field(chunk, "response")


def _names_a_model(holder: object) -> bool:
    named = (field(holder, "model"), field(field(holder, "response_metadata"), "model_name"))
    return any(isinstance(name, str) for name in named)


class StreamedCounts:
    """The counts of a streamed answer: what the chunks say, the last word on each."""

    def __init__(self) -> None:
        self._raw: Counts = {}
        self.head: object = None
        """The chunk that names the answer's id and model."""

    def add(self, chunk: object) -> None:
        if self.head is None:
            self.head = next((holder for holder in _holders(chunk) if _names_a_model(holder)), None)
        raw = raw_counts(chunk)
        if "total_tokens" in raw and field(chunk, "usage_metadata"):
            # LangChain's chunks are there to be added up.
            raw = {path: value + self._raw.get(path, 0) for path, value in raw.items()}
        self._raw |= raw

    def normalised(self) -> Counts:
        return normalise(self._raw)
