"""Background threads: one for jobs (single reads, the disk), one for the caller's listeners."""

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable

from ._log import logger
from ._models import AgentConfig

Job = Callable[[], None]
Callback = Callable[[str, AgentConfig], object]


_quiet_until: dict[str, float] = {}


def warn_seldom(what: str, *values: object) -> None:
    """Log what each read would say again while the host has run out of something: once a minute."""
    now = time.monotonic()
    if now >= _quiet_until.get(what, 0.0):
        _quiet_until[what] = now + 60
        logger.warning(what, *values)


def started(thread: threading.Thread) -> threading.Thread | None:
    """The thread, running; None where the system, or an ending interpreter, has none left."""
    try:
        thread.start()
    except RuntimeError as error:
        warn_seldom("%s is put off: %s", thread.name, error)
        return None
    return thread


class Worker:
    """One daemon thread, started with the first job; jobs run one by one when they are due."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def submit(self, job: Job, *, delay: float = 0, urgent: bool = False) -> None:
        """Run `job` after `delay` seconds; an urgent one before all that are waiting."""
        due = 0.0 if urgent else time.monotonic() + delay
        with self._changed:
            if self._stopped:
                return
            heapq.heappush(self._jobs, (due, next(self._order), job))
            if self._thread is None:
                self._thread = started(
                    threading.Thread(target=self._run, name=self._name, daemon=True)
                )
            self._changed.notify()

    def stop(self) -> threading.Thread | None:
        """Drop what waits and end after the running job; the thread, to be joined."""
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._changed.notify()
        return self._thread

    def abandon(self) -> None:
        """In a forked child, where gevent's threads go on: the jobs are the parent's."""
        self._stopped = True  # without the lock: a thread that is not here may hold it

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except Exception:  # a job that fails must not end all later ones
                logger.exception("background job failed")

    def _next(self) -> Job | None:
        with self._changed:
            while not self._stopped:
                wait = self._jobs[0][0] - time.monotonic() if self._jobs else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(wait)
            return None


class Dispatcher:
    """Calls the listeners, on one thread and in the order of the changes."""

    def __init__(self, callbacks: Callable[[], tuple[Callback, ...]], name: str) -> None:
        self._callbacks = callbacks
        self._name = name
        # By its module: a program may have become gevent's since this one was imported.
        self._queue: queue.SimpleQueue[tuple[str, AgentConfig] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, changes: list[tuple[str, AgentConfig]]) -> None:
        """Queue changes; never blocks. One caller at a time (the cache holds its lock)."""
        if not self._callbacks():
            return
        if self._thread is None:
            # Known before it runs: whoever stops this meanwhile wants to wait for it.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread = started(self._thread)
        for change in changes:
            self._queue.put(change)

    def stop(self) -> threading.Thread | None:
        """End after the callback that is running; the thread, to be joined."""
        self._callbacks = tuple  # what is still queued reaches nobody
        self._queue.put(None)
        return self._thread

    def abandon(self) -> None:
        """In a forked child, where gevent's threads go on: the news are the parent's."""
        self._callbacks = tuple

    def _run(self) -> None:
        while (change := self._queue.get()) is not None:
            for callback in self._callbacks():
                self._call(callback, *change)

    def _call(self, callback: Callback, agent_id: str, config: AgentConfig) -> None:
        try:
            callback(agent_id, config)
        except (Exception, SystemExit):  # the caller's fault must not end the others' news
            logger.exception("a listener failed on a change of %s", agent_id)
