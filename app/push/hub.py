"""The hub: one thread in each web process reads every new rev once, for all of its sockets.

It sleeps on the bell, which the tracker and the Redis hints ring, and looks at the database every
second besides. A message is spelled out once for all who get it; sending never waits.
"""

import _thread
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import ClassVar

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.changes.models import Change
from app.changes.services import State, read_state
from app.core.db import db, reading
from app.core.trouble import reason_of
from app.push import frames, listener, rights
from app.push.batches import Batch, list_new, prepare
from app.push.crowd import Crowd
from app.push.frames import CloseCode
from app.push.outbox import Outbox
from app.push.presence import Presence
from app.push.subscriber import Audience, Hello, Subscriber

LOOK_EVERY = 1.0  # seconds
CHECK_RIGHTS_EVERY = 2.0
PAUSE_AFTER_FAILURE = 1.0
RETRY_AFTER_GOODBYE = 1
REFETCHES_A_SECOND = 200
"""How fast clients that are told to fetch everything come: a few at once, thousands spread out."""
LONGEST_SPREAD = 10.0

log = logging.getLogger(__name__)


class NotAdded(Exception):
    """A socket that is not taken; ``code`` says what its client is to do."""

    code: ClassVar[CloseCode]


class NoRoom(NotAdded):
    """The process, or the token, has as many sockets as it may; or the server is going away."""

    code = CloseCode.TRY_AGAIN_LATER


class RightsChanged(NotAdded):
    """It was let in under rights that may have changed since: it comes again at once."""

    code = CloseCode.GOING_AWAY


class Hub:
    """All sockets of one web process. Its thread starts with the first of them."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._bell = app.extensions["bell"]
        self._lock = threading.Lock()
        self._crowd = Crowd()
        self._sockets_of: Counter[tuple[str, int]] = Counter()
        self._state: State | None = None
        self._rights_rev = 0
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._next_beat = self._next_check = 0.0
        self._presence = Presence(app, self._list_subscribers, self._stopped)

    # For the socket's thread

    def guard(self, connection: socket.socket) -> Outbox:
        """The connection as hub and socket write to it side by side."""
        return Outbox(connection, self._lock)

    def tell(self, subscriber: Subscriber, frame: bytes) -> None:
        """Send one socket something of its own."""
        with self._lock:
            subscriber.offer(frame)

    def start(self) -> None:
        """Read where the configuration stands and start looking, unless that is going on."""
        with self._lock:
            # A thread does not survive a fork: alive is only true in the process that started it.
            if self._stopped.is_set() or (self._thread and self._thread.is_alive()):
                return
            with _snapshot():
                self._state = read_state()
            self._next_beat = time.monotonic() + self._app.config["WS_HEARTBEAT"]
            self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
            self._thread.start()
            listener.start(self._app.config["REDIS_URL"], self._bell, self._stopped)
            self._presence.start()

    def add(self, subscriber: Subscriber) -> None:
        """Welcome a socket; every change after the welcome's rev will reach it.

        Raises NoRoom, RightsChanged.
        """
        with self._lock:
            self._check_room(subscriber)
            if subscriber.admitted_at < self._rights_rev:
                raise RightsChanged("rights have changed this moment")  # it may be this one's
            state = self._known_state
            subscriber.sent_rev = state.rev
            subscriber.offer(frames.welcome(state, self._app.config["WS_HEARTBEAT"]))
            self._crowd.add(subscriber)
            self._sockets_of[subscriber.identity[:2]] += 1

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a socket that has ended."""
        with self._lock:
            self._crowd.remove(subscriber)
            owner = subscriber.identity[:2]
            self._sockets_of[owner] -= 1
            if not self._sockets_of[owner]:
                del self._sockets_of[owner]
        self._presence.note_end(subscriber)

    def listen_to(self, subscriber: Subscriber, topics: frozenset[str]) -> None:
        """Change what a socket hears of."""
        with self._lock:
            added = topics - subscriber.audience.topics
            self._crowd.move(subscriber, subscriber.audience._replace(topics=topics))
            if added:
                # It has missed what happened to them so far: the next `prev` will say so.
                subscriber.sent_rev = self._known_state.rev

    def note_hello(self, subscriber: Subscriber, hello: Hello) -> None:
        """Keep what a client says about itself."""
        with self._lock:
            subscriber.hello = hello

    def measure(self) -> tuple[int, int | None]:
        """How many sockets there are, and up to which rev they have been told; None = not begun."""
        with self._lock:
            return len(self._crowd), self._state.rev if self._state else None

    def _check_room(self, subscriber: Subscriber) -> None:
        config = self._app.config
        if self._stopped.is_set() or len(self._crowd) >= config["WS_MAX_SOCKETS"]:
            raise NoRoom("the server has no room for another socket")
        if self._sockets_of[subscriber.identity[:2]] >= config["WS_MAX_SOCKETS_PER_TOKEN"]:
            raise NoRoom("there are too many sockets with this token")

    def _list_subscribers(self) -> list[Subscriber]:
        with self._lock:
            return list(self._crowd)

    @property
    def _known_state(self) -> State:
        if self._state is None:
            raise RuntimeError("the hub is not started")
        return self._state

    # For the web server

    def stop(self) -> None:
        """Say goodbye to every socket and take no more."""
        self._stopped.set()
        self._bell.stop()
        self._presence.finish()  # first: the process lives as long as its sockets
        with self._lock:
            for subscriber in self._crowd:
                _dismiss(subscriber, "the server is going away", CloseCode.GOING_AWAY)

    def stop_soon(self) -> None:
        """The same from a signal handler, which may hold any lock and must not wait for one."""
        _thread.start_new_thread(self.stop, ())

    # The hub's own thread

    def _run(self) -> None:
        with self._app.app_context():
            while not self._stopped.is_set():
                rang = self._bell.wait(self._known_state.rev, LOOK_EVERY)
                try:
                    if not self._look() and rang:
                        self._bell.reset(self._known_state.rev)
                    self._check_rights()
                except SQLAlchemyError as error:
                    # The sockets live on, and hear what they missed when the database is back.
                    log.error("the hub cannot look: %s", reason_of(error))
                    self._stopped.wait(PAUSE_AFTER_FAILURE)
                self._beat()

    def _look(self) -> bool:
        """Deliver what is new. Says whether anything was."""
        seen = self._known_state
        with self._lock:
            audiences = self._crowd.audiences()
            spread = min(LONGEST_SPREAD, len(self._crowd) / REFETCHES_A_SECOND)
        with _snapshot():
            state = read_state()
            if state[:2] == seen[:2]:
                return False
            changes = list_new(seen, state)
            changed_rights = changes is None or rights.are_touched(changes)
            batches = _prepare(changes, state, audiences, spread)
        if changed_rights:
            self._check_rights_first(state.rev)
        self._deliver(state, batches, Batch(state, None, spread))
        return True

    def _deliver(self, state: State, batches: dict[Audience, Batch], everything: Batch) -> None:
        with self._lock:
            self._state = state
            for audience, group in self._crowd.by_audience():
                # Who came, or changed topics, since the batches were made fetches everything.
                batch = batches.get(audience, everything)
                if batch.empty:
                    continue
                for subscriber in group:
                    subscriber.offer(batch.frames_after(subscriber.sent_rev))
                    subscriber.sent_rev = state.rev

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self._app.config["WS_HEARTBEAT"]
        beats: dict[int, bytes] = {}
        with self._lock:
            state = self._known_state
            for subscriber in self._crowd:
                last = subscriber.sent_rev
                if last not in beats:
                    beats[last] = frames.heartbeat(state, last)
                subscriber.offer(beats[last])

    def _check_rights_first(self, rev: int) -> None:
        """Nobody is sent ``rev`` under rights that it has changed: whoever has applied it is never
        told again what they may no longer see, or may see from now on."""
        with self._lock:
            self._rights_rev = rev
        self._next_check = 0.0
        self._check_rights()

    def _check_rights(self) -> None:
        """Close the sockets of those whose rights have ended or changed since they came."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_RIGHTS_EVERY
        subscribers = self._list_subscribers()
        if not subscribers:
            return
        with _snapshot():
            current = rights.list_current({subscriber.identity for subscriber in subscribers})
        alive = {identity[:2] for identity in current}
        with self._lock:
            for subscriber in subscribers:
                if subscriber.identity[:2] not in alive:
                    _close(subscriber, CloseCode.UNAUTHORIZED, "the token or account has ended")
                elif subscriber.identity not in current:
                    # It authorised under other rights: let it come again under these.
                    _dismiss(subscriber, "your rights have changed", CloseCode.GOING_AWAY)


def _prepare(
    changes: list[Change] | None, now: State, audiences: Collection[Audience], spread: float
) -> dict[Audience, Batch]:
    try:
        return prepare(changes, now, audiences, spread)
    except SQLAlchemyError:
        raise
    except Exception:
        # Something that cannot be spelled out must not stop the rest for good.
        log.exception("what led to rev %s cannot be pushed: everybody refetches", now.rev)
        return {}


def _dismiss(subscriber: Subscriber, reason: str, code: CloseCode) -> None:
    subscriber.offer(frames.goodbye(reason, RETRY_AFTER_GOODBYE))
    _close(subscriber, code, reason)


def _close(subscriber: Subscriber, code: CloseCode, reason: str) -> None:
    subscriber.outbox.finish_held(frames.close_frame(code, reason))


@contextmanager
def _snapshot() -> Iterator[None]:
    """A read-only look at the database that leaves nothing behind in this thread's session."""
    try:
        with reading():
            yield
    finally:
        db.session.remove()
