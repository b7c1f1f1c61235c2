"""What a caller gets: frozen, shared between threads, equal when a call would be the same."""

from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ._frozen import EMPTY, FrozenDict, thaw
from ._secret import MASK, Secret


class Status(StrEnum):
    """How the client stands towards its server. Values are plain strings."""

    INITIALIZING = "INITIALIZING"
    """Nothing has been heard from the server yet, and nothing has failed."""
    LIVE = "LIVE"
    """The stream is open and every change has been applied."""
    POLLING = "POLLING"
    """The stream is away; the server answers polls."""
    STALE = "STALE"
    """The server does not answer; the last known values stay in use."""
    UNAUTHORIZED = "UNAUTHORIZED"
    """The server refuses the token; the last known values stay in use."""
    CLOSED = "CLOSED"
    """`close()` was called; reads answer from memory, disk and environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the server says a step costs, per 1,000 tokens: None = unknown here, 0 = free."""

    currency: str = "USD"
    """ISO 4217."""
    cost_per_1k_input_tokens: Decimal | None = None
    """Of tokens that came from no cache."""
    cost_per_1k_output_tokens: Decimal | None = None
    """Reasoning is in it unless it has its own."""
    cost_per_1k_cached_input_tokens: Decimal | None = None
    """None = as any input."""
    cost_per_1k_reasoning_tokens: Decimal | None = None
    """None = as any output."""

    def to_dict(self) -> dict[str, str | None]:
        """Plain JSON; decimals as strings, so that no digit is lost."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: None if value is None else str(value) for name, value in values.items()}


NO_PRICES = Prices()


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMStep:
    """One step of an agent's chain: a provider, a model, and how to call it."""

    provider: str
    """The provider's type, e.g. `openai`, `anthropic`, `ollama`."""
    provider_name: str | None = None
    """The provider's name on the server; None for environment and built-in configs."""
    model: str
    """As the provider calls it."""
    endpoint: str | None = None
    """Base URL including its version path, as the provider's SDK wants it."""
    api_key: Secret | None = None
    """None where the provider needs no key or the token may not read it."""
    api_key_id: str | None = None
    """Names the key without telling it; another id means another key. None = no key is used."""
    timeout: float = 30
    """Seconds."""
    temperature: float | None = 0.7
    """0 to 2; None = the provider's own."""
    top_p: float | None = None
    """0 to 1; None = the provider's own."""
    max_tokens: int | None = None
    """At most so many in an answer; None = the provider's own limit."""
    metadata: FrozenDict = EMPTY
    """What an admin noted on the step; read-only JSON."""
    prices: Prices = NO_PRICES
    """What the step itself costs, as far as an admin has set it."""
    provider_status: str = field(default="pending", compare=False)
    """The last settled health check: `pending`, `connected` or `error`."""
    provider_budget_state: str = "ok"
    """Of the budget that the provider has: `ok`, `warn`, or `blocked`: pass over this step."""

    def to_dict(self, *, reveal_keys: bool = False) -> dict[str, Any]:
        """A plain dict ready for JSON; the key is masked unless `reveal_keys`."""
        return {item.name: self._plain(item.name, reveal_keys) for item in fields(self)}

    def _plain(self, name: str, reveal_keys: bool) -> Any:
        value = getattr(self, name)
        if isinstance(value, Secret):
            return value.get_secret_value() if reveal_keys else MASK
        if isinstance(value, Prices):
            return value.to_dict()
        if name == "fallbacks":
            return [step.to_dict(reveal_keys=reveal_keys) for step in value]
        return thaw(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig(LLMStep):
    """The resolved configuration of one agent. Never changes once handed out.

    Two are equal when a caller would behave the same with both: the provider's status and the
    book-keeping (`rev`, `version`, `config_version`) do not count.
    """

    agent_id: str
    """The agent that answers; another one than asked for where a default steps in."""
    requested_agent_id: str
    """The agent that was asked for."""
    source: str = "agent"
    """`agent`, `owner_default`, `default`, `snapshot`, `environment` or `built_in`."""
    is_default: bool = False
    """The answering agent is the server's global default."""
    fallbacks: tuple[LLMStep, ...] = ()
    """The enabled steps after this one, in the order to try them."""
    halted: bool = False
    """Someone pressed the red button: make no call."""
    halted_reason: str | None = None
    """What was said when it was halted, if anything."""
    budget_state: str = "ok"
    """Of the agent's own budgets: `ok`, `warn`, or `blocked`: make no call."""
    version: int = field(default=0, compare=False)
    """Row version of the answering agent."""
    config_version: int = field(default=0, compare=False)
    """The rev that last changed this resolved config. It names a state, it does not order two: it
    may fall when another agent's configuration begins to answer."""
    rev: int = field(default=0, compare=False)
    """The server's rev this was read at."""

    @property
    def steps(self) -> tuple[LLMStep, ...]:
        """The whole chain: this config's own step, then its fallbacks."""
        return (self, *self.fallbacks)
