"""What an adapter is, how its answers are judged, and the registry."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.crypto import Secret
from app.core.errors import Invalid
from app.core.http import Answer, Outbound
from app.providers.adapters.calls import (
    NAME_LIMIT,
    TEXT_LIMIT,
    WORDS_LIMIT,
    CallResult,
    CallUsage,
    Reply,
    clean,
    count,
    find_words,
)
from app.providers.adapters.settings import SettingField
from app.providers.models import Capability

LONG_LIST = "Its list of models is longer than 64 KiB and was not read, so no name is checked."
_A_MODEL = re.compile(rb'^\s*[\[{].*"(?:id|name)"\s*:\s*"', re.DOTALL)


@dataclass(frozen=True)
class Target:
    """What a probe is pointed at. ``key`` is masked in every repr."""

    base_url: str
    key: Secret | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def url(self, path: str) -> str:
        """The endpoint's URL with a path appended."""
        return self.base_url.rstrip("/") + path

    def key_header(self, name: str, prefix: str = "") -> dict[str, str]:
        """The key in a header; no key, no header."""
        return {name: prefix + self.key.get_secret_value()} if self.key else {}


@dataclass(frozen=True)
class ProbeResult:
    """What a probe saw. ``error`` is a reason that a person can act on, None where all is well."""

    ok: bool
    http_status: int | None = None
    models: tuple[str, ...] | None = None
    """Their names; None where they are not listed, or not known."""
    error: str | None = None
    note: str | None = None
    """What is worth knowing although all is well."""


@dataclass(frozen=True, kw_only=True)
class Adapter(ABC):
    """How to talk to one type of provider."""

    type: str
    label: str
    default_base_url: str | None
    """The type's usual endpoint, or None where there is no usual one."""
    needs_key: bool = True
    aliases: tuple[str, ...] = ()
    capability: Capability = Capability.LLM
    completions_path: str | None = None
    """Where a completion is asked for, below the base URL."""
    usual_model: str | None = None
    """What an agent of this type runs where nobody names a model; None = that has to be named."""
    settings: tuple[SettingField, ...] = ()
    """What a speech configuration may say; the key, the one secret, is not among them."""

    @abstractmethod
    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        """Look whether the endpoint answers, without spending anything. Never raises for a
        provider's fault; takes at most the deadline of ``http``."""

    @abstractmethod
    def call(
        self, target: Target, model: str, parameters: Mapping[str, Any], http: Outbound
    ) -> CallResult:
        """Make one minimal call: at most 16 tokens, without a retry.

        ``parameters`` are a step's (``temperature``, ``top_p``, ``max_tokens``,
        ``completions_path``) or a speech configuration's settings. Never raises for a provider's
        fault; takes at most the deadline of ``http``.
        """


def make_call(
    target: Target, send: Callable[[], Answer], read: Callable[[Answer], Reply]
) -> CallResult:
    """Send once and see what came back. ``read`` may raise KeyError, IndexError, TypeError or
    AttributeError on an answer of another shape."""
    began = time.perf_counter()
    answer = send()
    latency_ms = round((time.perf_counter() - began) * 1000)
    reason, reply = _reason_of_call(target, answer), Reply()
    if reason is None:
        try:
            reply = read(answer)
        except (KeyError, IndexError, TypeError, AttributeError):
            reason = "The answer is not what was asked for: is the base URL right?"
    if reason is not None:
        error = quote_words(target, answer, reason)
        return CallResult(False, answer.status, latency_ms, error=error)
    return CallResult(
        True,
        answer.status,
        latency_ms,
        clean(reply.model, target.key, NAME_LIMIT),
        clean(reply.text, target.key, TEXT_LIMIT),
        CallUsage(count(reply.input_tokens), count(reply.output_tokens)),
    )


def _reason_of_call(target: Target, answer: Answer) -> str | None:
    if answer.status == 404:
        return "The model or the path is not known there (HTTP 404)."
    if isinstance(answer.json, dict) and answer.json.get("error") and answer.status == 200:
        return "It answered with an error (HTTP 200)."
    return reason_of(target, answer)


def list_models(
    target: Target, answer: Answer, names: Callable[[Any], Iterable[Any]]
) -> ProbeResult:
    """Read an answer that should be a list of models; ``names`` picks them out of its JSON."""
    if answer.is_cut and answer.status == 200 and _A_MODEL.match(answer.body):
        return ProbeResult(True, 200, note=LONG_LIST)
    if reason := reason_of(target, answer):
        return ProbeResult(False, answer.status, error=quote_words(target, answer, reason))
    try:
        found = [name for name in names(answer.json) if _is_storable(name)]
    except (KeyError, TypeError, AttributeError):
        error = "The answer is JSON, but not a list of models: is the base URL right?"
        return ProbeResult(False, answer.status, error=error)
    return ProbeResult(True, answer.status, models=tuple(dict.fromkeys(found)))


def reason_of(target: Target, answer: Answer) -> str | None:
    """Why an answer is not a good one, or None. A status says more than a body that is no JSON."""
    status = answer.status
    if status is None or status < 400:
        return answer.error
    if status in (401, 403):
        complaint = "The key was refused" if target.key else "It wants a key"
        return f"{complaint} (HTTP {status})."
    if status == 404:
        return "Nothing is there (HTTP 404): does the base URL lack its version path, e.g. /v1?"
    if status == 429:
        return "Too many requests, or the quota is used up (HTTP 429)."
    if status >= 500:
        return f"The provider itself is failing (HTTP {status})."
    return f"The provider refused the request (HTTP {status})."


def quote_words(target: Target, answer: Answer, reason: str) -> str:
    """The reason, with what the provider itself says to it."""
    words = clean(find_words(answer.json), target.key, WORDS_LIMIT)
    return f"{reason} It says: {words}" if words else reason


def _is_storable(name: Any) -> bool:
    """Neither database takes every string: no null character, no half of a surrogate pair."""
    return isinstance(name, str) and 0 < len(name) <= NAME_LIMIT and name.isprintable()


_registry: dict[tuple[Capability, str], Adapter] = {}


def register(adapter: Adapter) -> None:
    """Add an adapter under its type and its aliases."""
    for name in (adapter.type, *adapter.aliases):
        if (adapter.capability, name) in _registry:
            raise ValueError(f"two adapters for {adapter.capability} {name}")
        _registry[adapter.capability, name] = adapter


def find_adapter(name: str, capability: Capability = Capability.LLM) -> Adapter | None:
    """The adapter of a type or alias."""
    return _registry.get((capability, name.strip().lower()))


def get_adapter(name: str, capability: Capability = Capability.LLM) -> Adapter:
    """The adapter of a type or alias. Raises Invalid naming what is allowed."""
    adapter = find_adapter(name, capability)
    if adapter is None:
        allowed = ", ".join(list_types(capability))
        raise Invalid.field("type", f"Unknown {capability} provider type. One of: {allowed}.")
    return adapter


def usual_capability(name: str) -> Capability:
    """What a type or alias is for where nobody says: calls of a model, if it can."""
    capable = (capability for capability in Capability if find_adapter(name, capability))
    return next(capable, Capability.LLM)


def list_types(capability: Capability = Capability.LLM) -> list[str]:
    """The canonical types, sorted."""
    return sorted({a.type for (kind, _), a in _registry.items() if kind is capability})
