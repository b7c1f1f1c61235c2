"""Which clients this process serves, kept up to date in the database by a thread of its own.

Sockets and hub only take note. Writing may have to wait, for a lock or for a database that is
away, and no push is to wait with it. What could not be written is still to be written.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import utcnow
from app.core.db import db
from app.core.errors import SwitchyardError
from app.push import clients
from app.push.clients import Sighting
from app.push.subscriber import Subscriber

WRITE_EVERY = 2.0  # seconds
TOUCH_EVERY = 60.0
PRUNE_EVERY = 3600.0
LAST_WRITE = 1.0
ROWS_AT_ONCE = 500
"""In one transaction: on SQLite everybody else who writes waits for its end."""
MOST_ENDED = 10_000
"""Clients that have left and are not written yet; with more, the database is away for long."""

log = logging.getLogger(__name__)


class Presence:
    """The clients of one web process, as far as they say who they are."""

    def __init__(
        self,
        app: Flask,
        list_subscribers: Callable[[], list[Subscriber]],
        stopped: threading.Event,
    ) -> None:
        self._app = app
        self._list_subscribers = list_subscribers
        self._stopped = stopped
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended: dict[str, Sighting] = {}
        self._written: dict[str, tuple[Sighting, float]] = {}
        self._next_prune = 0.0
        self._failing = False

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Once stopped, wait for the last write, but not for long."""
        if self._thread is not None:
            self._thread.join(LAST_WRITE)

    def note_end(self, subscriber: Subscriber) -> None:
        """A socket has ended; its client may have come and gone between two writes."""
        sighting = see(subscriber)
        if sighting is None:
            return
        with self._lock:
            self._ended[sighting.id] = sighting._replace(disconnected_at=utcnow())
            if len(self._ended) > MOST_ENDED:
                del self._ended[next(iter(self._ended))]

    def _run(self) -> None:
        with self._app.app_context():
            while not self._stopped.wait(WRITE_EVERY):
                self.write()
            # They are still here, and about to be sent away.
            for subscriber in self._list_subscribers():
                self.note_end(subscriber)
            self.write()

    def write(self) -> None:
        """Bring the database up to date; what fails is tried again the next time."""
        try:
            self._write_due()
            self._prune()
            self._failing = False
        except (SQLAlchemyError, SwitchyardError) as error:
            if not self._failing:  # said once, not every two seconds
                log.warning("clients cannot be written for now: %s", type(error).__name__)
            self._failing = True
        finally:
            db.session.remove()

    def _write_due(self) -> None:
        process = f"{socket.gethostname()}:{os.getpid()}"
        due = self._find_due()
        for start in range(0, len(due), ROWS_AT_ONCE):
            sightings = due[start : start + ROWS_AT_ONCE]
            clients.record(sightings, process)
            self._note_written(sightings)

    def _find_due(self) -> list[Sighting]:
        with self._lock:
            ended = dict(self._ended)
        here = {} if self._stopped.is_set() else see_all(self._list_subscribers())
        for client, (sighting, _) in self._written.items():
            if client not in here:  # a socket that names itself anew ends its old name unnoticed
                ended.setdefault(client, sighting._replace(disconnected_at=utcnow()))
        gone = [sighting for client, sighting in ended.items() if client not in here]
        return gone + [sighting for sighting in here.values() if self._is_due(sighting)]

    def _is_due(self, sighting: Sighting) -> bool:
        known, written_at = self._written.get(sighting.id, (None, 0.0))
        return known != sighting or time.monotonic() - written_at >= TOUCH_EVERY

    def _note_written(self, sightings: Iterable[Sighting]) -> None:
        with self._lock:
            for sighting in sightings:
                if sighting.disconnected_at is None:
                    self._written[sighting.id] = (sighting, time.monotonic())
                    self._ended.pop(sighting.id, None)
                    continue
                self._written.pop(sighting.id, None)
                if self._ended.get(sighting.id) is sighting:  # else it has ended once more
                    del self._ended[sighting.id]

    def _prune(self) -> None:
        if time.monotonic() >= self._next_prune and not self._stopped.is_set():
            clients.prune()
            self._next_prune = time.monotonic() + PRUNE_EVERY


def see(subscriber: Subscriber) -> Sighting | None:
    """The client behind a socket, or None where it has not said who it is."""
    hello, who = subscriber.hello, subscriber.identity
    if hello is None or not hello.client_id:
        return None
    return Sighting(
        id=f"{who.kind}:{who.id}:{hello.client_id}",
        client_id=hello.client_id,
        token_id=who.id if who.kind == "token" else None,
        user_id=who.id if who.kind == "user" else None,
        sdk=hello.sdk,
        epoch=hello.epoch,
        applied_rev=hello.applied_rev,
        sent_rev=subscriber.sent_rev,
        connected_at=subscriber.connected_at,
    )


def see_all(subscribers: Iterable[Subscriber]) -> dict[str, Sighting]:
    """The clients behind these sockets. Of several with one name, the one furthest behind counts:
    the workers of a program may share its name, and none of them is to be overlooked."""
    seen: dict[str, Sighting] = {}
    for sighting in filter(None, map(see, subscribers)):
        other = seen.get(sighting.id)
        if other is None or (sighting.applied_rev or 0) < (other.applied_rev or 0):
            seen[sighting.id] = sighting
    return seen
