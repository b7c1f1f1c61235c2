"""Nudges: what happens after a commit, by name, and never inside it.

The database is the truth and everything here is a hint: a rev that other processes may want to
look at, a job that a worker may start early. One daemon thread talks to Redis; a hint that cannot
be sent is dropped, and the hub's look at the database every second, or the worker's sweep, finds
what it meant.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from celery import Celery
from flask import Flask, current_app
from redis import Redis
from sqlalchemy.orm import Session, scoped_session

from app.core.redis import broker_url, connect

REV_CHANNEL = "switchyard:rev"
ERRAND = "errand"
PENDING_LIMIT = 10_000
PAUSE_AFTER_FAILURE = 1.0  # seconds
MAX_GIVE_WAY = 0.02
"""More than the hub usually takes for a change; a save that touches everybody is not held up."""

log = logging.getLogger(__name__)


class Bell:
    """Rings when this process learns of a newer rev; the hub sleeps on it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rev = 0
        self._heard = math.inf  # without a hub nobody is waited for
        self._stopped = False

    def ring(self, rev: int) -> None:
        """Say that ``rev`` exists. Older news is ignored."""
        with self._condition:
            if rev > self._rev:
                self._rev = rev
                self._condition.notify_all()

    def wait(self, seen: int, timeout: float) -> bool:
        """Sleep until a rev beyond ``seen`` is known, ``stop`` is called, or (False) time is up."""
        with self._condition:
            self._heard = seen
            self._condition.notify_all()  # whoever gives way goes on
            return self._condition.wait_for(lambda: self._stopped or self._rev > seen, timeout)

    def give_way(self, rev: int) -> None:
        """Let the hub push ``rev`` before this thread goes on: one interpreter runs both, and side
        by side the news came 2 ms later. It costs the saver's own answer half a millisecond."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopped or self._heard >= rev, MAX_GIVE_WAY)

    def reset(self, rev: int) -> None:
        """Forget a rev that the database does not have (it was restored from a backup)."""
        with self._condition:
            self._rev = rev

    def stop(self) -> None:
        """Wake the sleeper for good."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()


class Publisher:
    """One thread, started on first use in each process, that sends hints and nudges to Redis."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._items: deque[tuple[str, Any]] = deque(maxlen=PENDING_LIMIT)
        self._wakeup = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def hint(self, rev: int) -> None:
        """Tell every web process that ``rev`` was committed. Never blocks, never raises."""
        self._put(REV_CHANNEL, rev)

    def nudge(self, job: str, argument: Any) -> None:
        """Ask a worker to run ``job`` soon, with an id and nothing else."""
        self._put(job, argument)

    def call(self, errand: Callable[[Redis], None]) -> None:
        """Have something else done with Redis soon, by this thread, that nobody waits for."""
        self._put(ERRAND, errand)

    def stop(self, timeout: float = 2.0) -> None:
        """Send what is left, if Redis is there, and end the thread."""
        self._stopped = True
        self._wakeup.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _put(self, name: str, argument: Any) -> None:
        self._items.append((name, argument))
        with self._start:
            # A thread does not survive a fork: alive is only true in the process that started it.
            if self._thread is None or not self._thread.is_alive():
                self._begin()
        self._wakeup.set()

    def _begin(self) -> None:
        thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left: what was committed stays committed
            log.warning("hints wait: no thread can be started")
        else:
            self._thread = thread

    def _run(self) -> None:
        redis = connect(self._redis_url)
        celery = Celery("switchyard", set_as_current=False)
        celery.config_from_object("celeryconfig")
        celery.conf.broker_url = broker_url(self._redis_url)
        with redis, celery:
            while not self._stopped:
                self._wakeup.wait()
                self._wakeup.clear()
                while self._items:
                    name, argument = self._items.popleft()
                    self._send(redis, celery, name, argument)

    def _send(self, redis: Redis, celery: Celery, name: str, argument: Any) -> None:
        try:
            if name == REV_CHANNEL:
                redis.publish(REV_CHANNEL, argument)
            elif name == ERRAND:
                argument(redis)
            else:
                celery.send_task(name, args=[argument], ignore_result=True, retry=False)
        except Exception as error:
            # Whatever went wrong with a hint, the truth is stored: log the kind and go on.
            log.warning("hint %s not sent: %s", name, type(error).__name__)
            if self._stopped:
                self._items.clear()
            else:
                time.sleep(PAUSE_AFTER_FAILURE)


def init_app(app: Flask) -> None:
    """Give the app its bell and its publisher; no thread starts and nothing connects yet."""
    app.extensions["bell"] = Bell()
    app.extensions["publisher"] = Publisher(app.config["REDIS_URL"])


def bell() -> Bell:
    """This process's bell."""
    ringing: Bell = current_app.extensions["bell"]
    return ringing


def publisher() -> Publisher:
    """This process's publisher."""
    publishing: Publisher = current_app.extensions["publisher"]
    return publishing


def nudge_after_commit(session: scoped_session[Session] | Session, job: str, argument: Any) -> None:
    """Nudge a worker once the session's transaction is committed, and not if it is rolled back."""
    # A dict: in its order, each of them once.
    session.info.setdefault("nudges", {})[job, argument] = None
