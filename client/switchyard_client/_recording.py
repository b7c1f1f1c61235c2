"""Usage events: who answered, how much it was, how long it took. Never a prompt or an answer."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from ._arguments import check_text
from ._errors import UnparsableReply
from ._models import AgentConfig, LLMStep
from ._streams import field
from ._tokens import Counts, StreamedCounts, normalise, raw_counts

Event = dict[str, Any]
Submit = Callable[[Event], None]

DISCOUNTED = ("batch", "flex")


def usage_event(config: AgentConfig, step: LLMStep, **values: Any) -> Event:
    """One event of `POST /api/usage`; what is None is left out."""
    event = {
        "event_id": str(uuid.uuid4()),
        "agent_id": config.agent_id,
        "requested_agent_id": config.requested_agent_id,
        "provider": step.provider_name or step.provider,
        "model": step.model,
        "config_version": config.config_version or None,
    }
    given = {name: value for name, value in values.items() if value is not None}
    return {name: value for name, value in (event | given).items() if value is not None}


def reply_values(reply: object) -> dict[str, Any]:
    """What an answer says about itself: counts, model, tier."""
    return _values(normalise(raw_counts(reply)), reply)


def _values(counts: Counts, reply: object) -> dict[str, Any]:
    tier = _text(field(field(reply, "usage"), "service_tier")) or _text(
        field(reply, "service_tier")
    )
    # LangChain puts it one level down.
    model = field(reply, "model") or field(field(reply, "response_metadata"), "model_name")
    return counts | {
        "response_model": _text(model),
        "service_tier": tier,
        "processing": tier if tier in DISCOUNTED else None,
    }


def moment(ago: float = 0) -> str:
    """The time `ago` seconds before now, as the server wants it."""
    return (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()


class Usage(TypedDict, total=False):
    """What `report_usage` takes by name."""

    event_id: str
    """A UUID; the same one twice counts once. Made up if absent."""
    provider: str
    """Type or name."""
    model: str
    """As the provider calls it."""
    response_model: str | None
    """What the provider says it was."""
    input_tokens: int
    """With cached ones and those written to a cache."""
    output_tokens: int
    """With reasoning."""
    cached_input_tokens: int
    """Read from a cache; part of `input_tokens`."""
    cache_write_tokens: int
    """Written to a cache; part of `input_tokens`."""
    cache_write_1h_tokens: int
    """Part of `cache_write_tokens`."""
    reasoning_tokens: int
    """Part of `output_tokens`."""
    web_searches: int
    """How many the provider made."""
    task: str | None
    """What the call was for."""
    started_at: datetime
    """With its time zone; `latency_ms` ago if absent."""
    latency_ms: int
    """From the request to the end of the answer."""
    status: str
    """`ok` or `error`."""
    error_class: str | None
    """Name of the exception, where the status is `error`."""
    attempt: int
    """Position in the chain, 0 = primary."""
    service_tier: str | None
    """What the provider calls it, e.g. `flex`."""
    processing: str | None
    """`batch` or `flex`."""


COUNTS = tuple(name for name in Usage.__annotations__ if name.endswith(("_tokens", "_searches")))
WHOLE_NUMBERS = (*COUNTS, "latency_ms", "attempt")
TEXTS = Usage.__annotations__.keys() - {*WHOLE_NUMBERS, "started_at"}


def reported_event(config: AgentConfig, reply: object, values: Usage) -> Event:
    """The event of a call made without `attempts`. Raises ValueError."""
    given: dict[str, Any] = dict(values)
    unknown = given.keys() - Usage.__annotations__.keys()
    if unknown:
        raise TypeError(f"report_usage has no argument {sorted(unknown)[0]!r}")
    for name in given.keys() & TEXTS:
        check_text(name, given[name])
    for name in WHOLE_NUMBERS:
        count = given.get(name, 0)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ValueError(f"{name} must be a whole number from 0, not {count!r}")
    started = given.pop("started_at", None)
    if started is not None and started.utcoffset() is None:
        raise ValueError("started_at needs a time zone, e.g. datetime.now(UTC)")
    position = given.get("attempt", 0)
    step = config.steps[position] if position < len(config.steps) else config
    began = started.isoformat() if started else moment(given.get("latency_ms", 0) / 1000)
    defaults = {"status": "ok", "started_at": began, **reply_values(reply)}
    return usage_event(config, step, **(defaults | given))


class Recorder:
    """What one attempt reports. Each answer counts once, however often it is handed in."""

    def __init__(
        self, config: AgentConfig, position: int, task: str | None, submit: Submit
    ) -> None:
        self._config = config
        self._position = position
        self._task = task
        self._submit = submit
        self._began = time.monotonic()
        self._known: set[str] = set()
        self.reported: bool = False
        """At least one event has been submitted."""
        self._last_error: BaseException | None = None

    def reply(self, reply: object) -> None:
        """An answer that came whole. Raises UnparsableReply for a text: no SDK answers so."""
        if isinstance(reply, str | bytes):
            raise UnparsableReply("the provider answered with something that is not its API's")
        if self._is_new(field(reply, "id")):
            self._report(reply_values(reply), "ok")

    def stream(self, streamed: StreamedCounts, error: BaseException | None = None) -> None:
        """An answer that came in chunks, to its end or to where it broke."""
        if self._is_new(field(streamed.head, "id")):
            values = _values(streamed.normalised(), streamed.head)
            self._report(values, "ok" if error is None else "error", error)

    def failure(self, error: BaseException, *, of_answer: bool) -> None:
        """A call without an answer; `of_answer`: there may have been one, of no use."""
        if error is not self._last_error and not (of_answer and self.reported):
            self._report({}, "error", error)

    def _is_new(self, reply_id: object) -> bool:
        if not isinstance(reply_id, str) or not reply_id:
            return True
        new = reply_id not in self._known
        self._known.add(reply_id)
        return new

    def _report(
        self, values: dict[str, Any], status: str, error: BaseException | None = None
    ) -> None:
        now = time.monotonic()
        event = usage_event(
            self._config,
            self._config.steps[self._position],
            **values,
            task=self._task,
            started_at=moment(now - self._began),
            latency_ms=round((now - self._began) * 1000),
            status=status,
            error_class=type(error).__name__ if error else None,
            attempt=self._position,
        )
        self._began, self.reported, self._last_error = now, True, error
        self._submit(event)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
