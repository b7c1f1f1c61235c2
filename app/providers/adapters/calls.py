"""One minimal call: what it may cost, what came back, and a provider's own words without secrets.

A provider's answer is shown to people, stored and logged. So whatever is taken out of one is short,
printable, and holds no piece of the key that the call was made with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from app.core.crypto import MASK, Secret
from app.core.logs import redact

PROMPT = "Reply with the word OK."
MAX_TOKENS = 16
WORDS_LIMIT = 300
TEXT_LIMIT = 200
NAME_LIMIT = 256
WORDS_IN = ("error", "message", "detail", "msg")
PIECE = 8  # characters of a key that give it away, wherever they stand


@dataclass(frozen=True)
class CallUsage:
    """Tokens of one call, as the provider counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True)
class CallResult:
    """What a call brought. ``error`` says why it failed, with the provider's own words."""

    ok: bool
    http_status: int | None = None
    latency_ms: int | None = None
    answered_model: str | None = None
    """The model that says it answered: an alias comes back as what it stands for."""
    text: str | None = None
    """The beginning of the reply."""
    usage: CallUsage = CallUsage()
    error: str | None = None


@dataclass(frozen=True)
class Reply:
    """What an adapter reads out of a good answer."""

    text: Any = None
    model: Any = None
    input_tokens: Any = None
    output_tokens: Any = None


def token_limit(parameters: Mapping[str, Any]) -> int:
    """The step's own limit, where it is below what a test may cost."""
    return min(parameters.get("max_tokens") or MAX_TOKENS, MAX_TOKENS)


def pick(parameters: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """The parameters that are set, under the provider's names: ``pick(p, top_p="topP")``."""
    return {
        theirs: parameters[ours]
        for ours, theirs in names.items()
        if parameters.get(ours) is not None
    }


def path_of(parameters: Mapping[str, Any], usual: str) -> str:
    """Where the completion is asked for: the step may name another path below the base URL."""
    path = parameters.get("completions_path")
    return path if isinstance(path, str) and path.startswith("/") else usual


def find_words(document: Any, depth: int = 5) -> str | None:
    """The message in a provider's JSON error, in any of the shapes that are about."""
    if isinstance(document, str) or depth == 0:
        return document if isinstance(document, str) else None
    if isinstance(document, list):  # Google wraps it, FastAPI lists what is wrong
        return find_words(document[0], depth - 1) if document else None
    if not isinstance(document, dict):
        return None
    found = (find_words(document.get(name), depth - 1) for name in WORDS_IN)
    return next(filter(None, found), None)


def clean(text: Any, key: Secret | None, limit: int) -> str | None:
    """The beginning of a text, printable and without the key or pieces of it; None where it is
    none. Neither database stores every character."""
    if not isinstance(text, str):
        return None
    # What a cut would leave of a key at the end is a piece of it: masked first, then cut.
    shown = redact(mask(text[: 4 * limit], key))
    shown = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def mask(text: str, key: Secret | None) -> str:
    """The text with every piece of the key masked: providers quote beginnings and ends of it."""
    value = key.get_secret_value() if key else ""
    size = min(PIECE, len(value))
    if not size:
        return text
    pieces = {value[i : i + size] for i in range(len(value) - size + 1)}
    hidden = bytearray(len(text))
    for start in range(len(text) - size + 1):
        if text[start : start + size] in pieces:
            hidden[start : start + size] = b"\x01" * size
    runs = groupby(zip(text, hidden, strict=True), itemgetter(1))
    return "".join(MASK if is_hidden else "".join(c for c, _ in run) for is_hidden, run in runs)


def count(value: Any) -> int | None:
    """A number of tokens, or None where it is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_count else None
