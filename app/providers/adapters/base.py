"""What an adapter is, how a list of models is read, and the registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.crypto import Secret
from app.core.errors import Invalid
from app.core.http import Answer, Outbound
from app.providers.adapters.settings import SettingField
from app.providers.models import Capability

NAME_LIMIT = 256


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
    error: str | None = None


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
    settings: tuple[SettingField, ...] = ()
    """What a speech configuration may say; the key, the one secret, is not among them."""

    @abstractmethod
    def probe(self, target: Target, http: Outbound) -> ProbeResult:
        """Look whether the endpoint answers, without spending anything. Never raises for a
        provider's fault; takes at most the deadline of ``http``."""


def list_models(
    target: Target, answer: Answer, names: Callable[[Any], Iterable[Any]]
) -> ProbeResult:
    """Read an answer that should be a list of models; ``names`` picks them out of its JSON."""
    if reason := reason_of(target, answer):
        return ProbeResult(False, answer.status, error=reason)
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


def list_types(capability: Capability = Capability.LLM) -> list[str]:
    """The canonical types, sorted."""
    return sorted({a.type for (kind, _), a in _registry.items() if kind is capability})
