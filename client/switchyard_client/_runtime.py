"""What one process needs to stay in touch with the server: threads, connections, locks.

A forked child inherits the values but none of this: it lets go of the parent's runtime and makes
its own on first use.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ._cache import Cache
from ._fetcher import Fetcher, Flight
from ._listener import Listener
from ._models import AgentConfig, Status
from ._protocol import Protocol
from ._resolution import built_in, default_of, from_disk, from_environment
from ._snapshot import DiskSnapshot
from ._timings import Timings
from ._transport import Transport
from ._worker import Callback, Dispatcher, Worker, warn_seldom

_numbers = itertools.count(1)

SETTLED = (Status.LIVE, Status.POLLING)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller chose, checked; shared by the runtimes of parent and children."""

    new_transport: Callable[[], Transport]
    timings: Timings
    streaming: bool
    ttl: float
    env_prefix: str
    client_id: str | None
    disk: DiskSnapshot | None


class Runtime:
    """Wires cache, listener, fetcher and dispatcher together for one process."""

    def __init__(
        self,
        settings: Settings,
        cache: Cache,
        callbacks: Callable[[], tuple[Callback, ...]],
        *,
        forked: bool = False,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._forked = forked
        self._number = next(_numbers)
        self._status = Status.INITIALIZING
        self._status_changed = threading.Condition()
        self._disk_configs: dict[str, AgentConfig] | None = None
        self._disk_lock = threading.Lock()
        self._save_due = False
        self._refresh_at = 0.0
        self._client_id: str | None = None
        self._transport = settings.new_transport()
        self._worker = Worker(self._name("worker"))
        self.dispatcher = Dispatcher(callbacks, self._name("listeners"))
        self._fetcher = self._new_fetcher()
        self._listener = self._new_listener()

    def _new_fetcher(self) -> Fetcher:
        return Fetcher(
            self._transport,
            self._cache,
            self._worker,
            self._settings.timings,
            on_stored=self._save_soon,
            on_suspect=lambda: self._listener.refresh(),
            accepted=lambda: self._status in SETTLED,
            substitute=self._substitute,
        )

    def _new_listener(self) -> Listener:
        settings = self._settings
        return Listener(
            Protocol(settings.timings, streaming=settings.streaming, ttl=settings.ttl),
            self._transport,
            self._cache,
            client_id=self._stable_client_id,
            on_status=self._set_status,
            on_applied=self._after_batch,
            on_confirmed=self._fetcher.retry_failed,
            name=self._name("listener"),
        )

    def start(self) -> None:
        """Start the listener; the other threads start with their first work.

        Where the system has no thread or descriptor left, this runtime is closed: the next read
        makes another one.
        """
        try:
            self._listener.start()
        except (OSError, RuntimeError) as error:
            warn_seldom("the server is not followed for now: %s", error)
            self.close(0)

    @property
    def status(self) -> Status:
        return self._status

    def wait_settled(self, timeout: float | None) -> bool:
        """True once the server has told everything; False after `timeout` or a refusal."""
        return self.wait_for(SETTLED, timeout)

    def wait_for(self, wanted: tuple[Status, ...], timeout: float | None) -> bool:
        """True once the status is one of these; False after `timeout`, a refusal or the end."""
        ended = (*wanted, Status.UNAUTHORIZED, Status.CLOSED)
        with self._status_changed:
            self._status_changed.wait_for(lambda: self._status in ended, timeout)
            return self._status in wanted

    def read(self, agent_id: str) -> AgentConfig:
        """Everything but a hit: an unconfirmed value, a first read, a read without the server."""
        found = self.begin_read(agent_id)
        if isinstance(found, AgentConfig):
            return found
        found.wait(self.patience)
        return self.end_read(agent_id, found)

    @property
    def patience(self) -> float:
        """Seconds a read waits for the flight it has got."""
        return self._fetcher.patience

    def begin_read(self, agent_id: str) -> AgentConfig | Flight:
        """A config if there is one to give, else the flight to wait for before `end_read`."""
        known = self._cache.find(agent_id)
        if known is not None:
            self._refresh()
            return known
        stand_in = self._cache.stand_in(agent_id)
        if stand_in is not None and not self._fetcher.due(agent_id):
            return stand_in
        if self._status in (Status.UNAUTHORIZED, Status.CLOSED):
            self._fetcher.postpone(agent_id)
            return stand_in or self._substitute(agent_id, refused=False)
        found = self._fetcher.request(agent_id)
        return found if isinstance(found, AgentConfig) else stand_in or found

    def end_read(self, agent_id: str, flight: Flight) -> AgentConfig:
        """What the flight brought, or what stands in where it did not land in time."""
        if not flight.landed:
            self._fetcher.gave_up()
        elif flight.config is not None:
            return flight.config
        return self._cache.find(agent_id) or self._substitute(agent_id, flight.refused)

    def close(self, timeout: float) -> None:
        """Stop all threads; those stuck in a name lookup end by themselves as daemons."""
        deadline = time.monotonic() + timeout
        stopped = [self._listener.stop(), self._worker.stop(), self.dispatcher.stop()]
        for thread in stopped:
            if thread is not None and thread is not threading.current_thread():
                self._join(thread, deadline)
        self._transport.close()
        self._set_status(Status.CLOSED)
        if self._save_due:
            self._save()

    def _join(self, thread: threading.Thread, deadline: float) -> None:
        while thread.is_alive() and time.monotonic() < deadline:
            # Again and again: a connection just being made was not there to be interrupted.
            self._transport.interrupt()
            thread.join(0.05)

    def abandon(self) -> None:
        """In a forked child: close inherited descriptors, touch nothing else of the parent's."""
        self._worker.abandon()
        self.dispatcher.abandon()
        self._listener.abandon()
        self._transport.abandon()

    def _refresh(self) -> None:
        """Ask for news of values nobody confirms; busy readers wake the listener only so often."""
        now = time.monotonic()
        if not self._cache.fresh and now >= self._refresh_at:
            self._refresh_at = now + self._settings.timings.refresh_gap
            self._listener.refresh()

    # Hooks of the parts

    def _set_status(self, status: Status) -> None:
        with self._status_changed:
            if self._status is not Status.CLOSED:  # a thread that ends late has no say
                self._status = status
            self._status_changed.notify_all()

    def _after_batch(self) -> None:
        self._fetcher.revalidate(self._cache.unlisted())
        self._save_soon()

    def _substitute(self, agent_id: str, refused: bool) -> AgentConfig:
        """The rest of the chain, remembered so that its replacement is heard of."""
        return self._cache.put_stand_in(agent_id, self._fallback(agent_id, refused))

    def _fallback(self, agent_id: str, refused: bool) -> AgentConfig:
        found = None if refused else self._last_known(agent_id)
        return (
            found
            or from_environment(agent_id, os.environ, self._settings.env_prefix)
            or built_in(agent_id)
        )

    def _last_known(self, agent_id: str) -> AgentConfig | None:
        snapshot = self._cache.snapshot
        if snapshot.epoch is None:
            return from_disk(agent_id, self._load_disk())
        # After the first sync the disk knows nothing more, but perhaps agents that were revoked.
        return default_of(agent_id, snapshot.entries.values())

    def run_soon(self, job: Callable[[Transport], None]) -> None:
        """Run a job that somebody waits for, beside reads of single agents."""
        self._worker.submit(lambda: job(self._transport), urgent=True)

    # Disk

    @property
    def disk_is_cold(self) -> bool:
        """A read may have to load the snapshot first, which takes its time."""
        return self._settings.disk is not None and self._disk_configs is None

    def warm_disk(self) -> None:
        """Load the snapshot now."""
        self._load_disk()

    def _load_disk(self) -> dict[str, AgentConfig]:
        with self._disk_lock:
            if self._disk_configs is None:
                disk = self._settings.disk
                self._disk_configs = disk.load() if disk else {}
            return self._disk_configs

    def _save_soon(self) -> None:
        if self._settings.disk is not None and not self._save_due:
            self._save_due = True
            self._worker.submit(self._save, delay=self._settings.timings.snapshot_delay)

    def _save(self) -> None:
        self._save_due = False  # before the snapshot is taken: a later change asks again
        snapshot = self._cache.snapshot
        # Without a sync, single reads are all there is: the file may know more.
        if self._settings.disk is not None and snapshot.epoch is not None:
            self._settings.disk.save(snapshot)

    # Names

    def _name(self, role: str) -> str:
        return f"switchyard-{role}-{self._number}"

    def _stable_client_id(self) -> str:
        if self._client_id is None:
            disk = self._settings.disk
            kept = self._settings.client_id or (disk.client_id() if disk else os.urandom(16).hex())
            # The workers of one program share its id, but not its applied rev.
            self._client_id = f"{kept}:{os.getpid()}" if self._forked else kept
        return self._client_id
