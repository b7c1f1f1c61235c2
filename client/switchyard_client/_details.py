"""What a handle reads beside the config: fetched on demand, kept until the server's next rev."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._agents import Part, parse_part
from ._errors import TransportError, Unreachable
from ._landing import Landing
from ._transport import Transport

Key = tuple[str, Part]
Stamp = tuple[str | None, int]
Job = Callable[[Transport], None]


class Inquiry(Landing):
    """One request under way for any number of readers."""


@dataclass(slots=True)
class Entry:
    """The last word on one part of an agent."""

    stamp: Stamp | None = None
    """The state of the server it was read at, or before; None before the first answer."""
    value: Any = None
    error: TransportError | None = None
    """Why the latest request brought nothing."""
    retry_at: float = 0.0


class Details:
    """Single flight per part; an old value stays in use while the server is away."""

    def __init__(self, retry: float) -> None:
        self._retry = retry
        self._entries: dict[Key, Entry] = {}
        self._inquiries: dict[Key, Inquiry] = {}
        self._lock = threading.Lock()

    def begin(
        self, agent_id: str, part: Part, stamp: Stamp, run_soon: Callable[[Job], None]
    ) -> Inquiry | None:
        """The inquiry to wait for before `end`; None where what is known will do."""
        key = agent_id, part
        with self._lock:
            entry = self._entries.setdefault(key, Entry())
            if entry.stamp == stamp or time.monotonic() < entry.retry_at:
                return None
            inquiry = self._inquiries.get(key)
            if inquiry is None:
                started = self._inquiries[key] = inquiry = Inquiry()
                run_soon(lambda transport: self._fetch(key, stamp, started, transport))
            return inquiry

    def end(self, agent_id: str, part: Part, waited_for: Inquiry | None) -> Any:
        """The value. Raises TransportError where the server has never told one."""
        entry = self._entries.get((agent_id, part), Entry())
        if waited_for is not None and not waited_for.landed:
            entry.retry_at = time.monotonic() + self._retry  # the next readers need not wait
        if entry.value is not None:
            return entry.value
        error = entry.error or Unreachable(f"nothing is known of agent {agent_id} yet")
        raise error.with_traceback(None)  # kept and raised again: its trace must not grow

    def reset(self) -> None:
        """Forget requests under way: nobody lands them after a close, or in a forked child."""
        self._inquiries = {}
        self._lock = threading.Lock()
        for entry in list(self._entries.values()):
            entry.retry_at = 0.0

    def _fetch(self, key: Key, stamp: Stamp, inquiry: Inquiry, transport: Transport) -> None:
        entry, (agent_id, part) = self._entries[key], key
        try:
            entry.value = parse_part(part, transport.fetch_part(agent_id, part.value))
            entry.stamp, entry.error = stamp, None
        except TransportError as error:
            entry.error, entry.retry_at = error, time.monotonic() + self._retry
        finally:
            with self._lock:
                self._inquiries.pop(key, None)
            inquiry.land()
