"""Reads of single agents: one request for any number of threads, never on the caller's thread."""

import threading
import time
from collections.abc import Callable, Iterable

from ._cache import Cache
from ._errors import Forbidden, NotFound, Throttled, TransportError, Unauthorized
from ._landing import Landing
from ._log import logger
from ._models import AgentConfig
from ._timings import Timings
from ._transport import Transport
from ._worker import Worker


class Flight(Landing):
    """One request under way, and what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.config: AgentConfig | None = None
        self.departed = False
        self.again = False
        self.refused = False
        """The server was there and has nothing for us: older values must not be used instead."""


class Fetcher:
    """Single flight per agent; failures are remembered so that reads do not queue up again."""

    def __init__(
        self,
        transport: Transport,
        cache: Cache,
        worker: Worker,
        timings: Timings,
        *,
        on_stored: Callable[[], None],
        on_suspect: Callable[[], None],
        accepted: Callable[[], bool],
        substitute: Callable[[str, bool], AgentConfig],
    ) -> None:
        self._transport = transport
        self._cache = cache
        self._worker = worker
        self._timings = timings
        self._on_stored = on_stored
        self._on_suspect = on_suspect
        self._accepted = accepted
        self._substitute = substitute
        self._flights: dict[str, Flight] = {}
        self._failed: set[str] = set()
        self._refused: set[str] = set()
        self._retry_at: dict[str, float] = {}
        self._hold_until = 0.0
        self._refused_until = 0.0
        self._doubt_until = 0.0
        self._lock = threading.Lock()

    def due(self, agent_id: str) -> bool:
        """An earlier failure is far enough away to try again."""
        return time.monotonic() >= max(self._retry_at.get(agent_id, 0.0), self._barred_until())

    def postpone(self, agent_id: str) -> None:
        """Ask for this agent as soon as the server is known to answer again."""
        with self._lock:
            self._failed.add(agent_id)

    def request(self, agent_id: str) -> AgentConfig | Flight:
        """Ask the server for an agent, or join whoever is asking already.

        The answer itself where it has come since the caller looked.
        """
        with self._lock:
            under_way = self._flights.get(agent_id)
            return under_way or self._cache.find(agent_id) or self._launch(agent_id, urgent=True)

    @property
    def patience(self) -> float:
        """Seconds to wait for an answer: none while the server has just let another wait."""
        return 0 if time.monotonic() < self._doubt_until else self._timings.first_read

    def gave_up(self) -> None:
        """Somebody has waited in vain; for a while the next ones need not."""
        if time.monotonic() >= self._doubt_until:
            self._doubt_until = time.monotonic() + self._timings.cold_retry

    def revalidate(self, agent_ids: Iterable[str]) -> None:
        """Ask again for each, behind whatever a caller is waiting for."""
        with self._lock:
            for agent_id in sorted(agent_ids):
                flight = self._flights.get(agent_id) or self._launch(agent_id, urgent=False)
                flight.again = flight.departed  # its answer may be from before the news

    def retry_failed(self) -> None:
        """The server answers again: ask for what it could not say before."""
        self._refused_until = 0.0
        with self._lock:
            failed, self._failed = self._failed, set()
        self.revalidate(failed)

    def _launch(self, agent_id: str, *, urgent: bool) -> Flight:
        flight = self._flights[agent_id] = Flight()
        self._worker.submit(lambda: self._fly(agent_id, flight), urgent=urgent)
        return flight

    def _fly(self, agent_id: str, flight: Flight) -> None:
        flight.departed = True
        try:
            self._fetch(agent_id, flight)
        finally:
            with self._lock:
                del self._flights[agent_id]
                if flight.again:
                    self._launch(agent_id, urgent=False)
            flight.land()

    def _fetch(self, agent_id: str, flight: Flight) -> None:
        try:
            if time.monotonic() >= self._barred_until():
                self._ask(agent_id, flight)
        except TransportError as error:
            self._note_failure(error, flight)
            self._tell(agent_id, error, refused=flight.refused)
        if flight.config is None:
            self._retry_at[agent_id] = time.monotonic() + self._timings.cold_retry
            if flight.refused:
                self._cache.drop(agent_id)
            else:
                self.postpone(agent_id)
            if self._cache.find(agent_id) is None:
                flight.config = self._substitute(agent_id, flight.refused)

    def _ask(self, agent_id: str, flight: Flight) -> None:
        for _ in range(2):  # the first answer may be older than what the stream has told since
            config, epoch = self._transport.fetch_agent(agent_id)
            if self._cache.store(config, epoch):
                flight.config = config
                self._retry_at.pop(agent_id, None)
                self._refused.discard(agent_id)
                self._doubt_until = 0.0
                self._on_stored()
                return
        flight.config = self._cache.put_stand_in(agent_id, config)
        self._retry_at[agent_id] = time.monotonic() + self._timings.cold_retry
        self.postpone(agent_id)
        self._on_suspect()

    def _note_failure(self, error: TransportError, flight: Flight) -> None:
        # Where S1 is refused too, it is about the token or the address, not about this agent.
        flight.refused = isinstance(error, NotFound | Forbidden) and self._accepted()
        if not flight.refused:
            self._doubt_until = time.monotonic() + self._timings.cold_retry
        if isinstance(error, Throttled):
            patience = min(error.retry_after or 0, self._timings.retry_after_max)
            self._hold_until = time.monotonic() + max(patience, self._timings.cold_retry)
        elif isinstance(error, Unauthorized) and not flight.refused:
            self._refused_until = time.monotonic() + self._timings.unauthorized_min
            self._on_suspect()

    def _tell(self, agent_id: str, error: TransportError, *, refused: bool) -> None:
        """Nothing but the log shows that a token may not read an agent: once, for reads go on."""
        if refused and agent_id not in self._refused:
            self._refused.add(agent_id)
            logger.warning("a stand-in answers for agent %s: %s", agent_id, error)
        else:
            logger.info("%s", error)

    def _barred_until(self) -> float:
        return max(self._hold_until, self._refused_until)
