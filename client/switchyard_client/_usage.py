"""The queue of usage events and the one thread that brings them to the server.

An event leaves the queue when the server has acknowledged it, so that whatever goes wrong in
between it is sent again under the same id.
"""

import atexit
import random
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from ._errors import NotFound, Refused, Throttled, TransportError, Unauthorized
from ._log import logger
from ._spool import Spool
from ._timings import Timings
from ._transport import Transport

Event = dict[str, Any]

MAX_EVENTS = 10_000
MAX_BATCH = 500


class UsageReporter:
    """Takes events from any thread without blocking; sends them in batches from one of its own."""

    def __init__(
        self, new_transport: Callable[[], Transport], timings: Timings, spool: Spool | None
    ) -> None:
        self._new_transport = new_transport
        self._timings = timings
        self._spool = spool
        self._closed = False
        self._fresh()
        _reporters.add(self)

    def _fresh(self) -> None:
        self._events: deque[Event] = deque()
        self._on_disk: set[str] = set()
        self._changed = threading.Condition()
        self._spool_lock = threading.RLock()  # a signal's handler may close what is being spilled
        self._thread: threading.Thread | None = None
        self._transport: Transport | None = None
        self._batch_size = MAX_BATCH
        self._failures = 0
        self._failed_ever = 0
        self._next_send = 0.0
        self._held_until = 0.0
        self._spill_at = 0.0
        self._flushing = False
        self.dropped = 0
        """Events that are lost: the queue was full, or the server refused them for good."""

    def submit(self, event: Event) -> None:
        """Queue an event; counts it as dropped where there is no room."""
        with self._changed:
            if len(self._events) >= MAX_EVENTS:
                self.dropped += 1
                if self.dropped == 1:
                    logger.warning("usage is dropped: %s events are waiting", MAX_EVENTS)
                return
            if not self._events and not self._failures:
                self._next_send = time.monotonic() + self._timings.usage_delay
            self._events.append(event)
            starting = self._new_thread()
            if len(self._events) in (1, MAX_BATCH):  # in between the thread knows when to wake
                self._changed.notify_all()
        self._start(starting)

    def open(self) -> None:
        """Go on after `close`, and with what an earlier process left on disk."""
        with self._changed:
            self._closed = False
            needed = bool(self._events) or (self._spool is not None and self._spool.is_needed())
            starting = self._new_thread() if needed else None
        self._start(starting)

    def flush(self, timeout: float) -> bool:
        """Send what waits now. True once all is acknowledged; False when it cannot be for now."""
        with self._changed:
            starting = self._new_thread() if self._events else None
        self._start(starting)
        with self._changed:
            failed_before = self._failed_ever
            self._next_send, self._flushing = 0.0, bool(self._events)
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: (
                    not self._events
                    or self._failed_ever != failed_before
                    or self._thread is None
                    or time.monotonic() < self._held_until
                ),
                timeout,
            )
            return not self._events

    def close(self, timeout: float) -> None:
        """Flush, end the thread, leave the rest on disk; within about `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._closed = True
        if self._thread is not None:
            self.flush(timeout / 2)
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            self._join(thread, deadline)
        self._spill()
        self._let_go()

    def _let_go(self) -> None:
        """What is on disk is the next start's, perhaps our own; the rest stays in memory."""
        with self._spool_lock, self._changed:
            if self._spool is not None:
                self._spool.close()
            kept = [event for event in self._events if event["event_id"] not in self._on_disk]
            self._events = deque(kept)
            self._on_disk.clear()

    def after_fork(self) -> None:
        """In the child: the parent's events, connection and files stay the parent's."""
        if self._transport is not None:
            self._transport.abandon()
        if self._spool is not None:
            self._spool.close()
        self._fresh()

    def at_exit(self) -> None:
        """The process ends: the last chance for what waits."""
        if self._events:
            self.flush(self._timings.close)
            self._spill()

    # The thread

    def _new_thread(self) -> threading.Thread | None:
        """The thread that is to be started now, outside of the lock; None where none is."""
        if self._thread is not None or self._closed:
            return None
        self._thread = threading.Thread(target=self._run, name="switchyard-usage", daemon=True)
        return self._thread

    def _start(self, thread: threading.Thread | None) -> None:
        if thread is None:
            return
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, or has too many: the disk is what is left
            self._thread = None
            return
        _flush_before_a_child_process_ends()

    def _run(self) -> None:
        transport = self._transport = self._new_transport()
        self._take_over()
        while (batch := self._next_batch()) is not None:
            try:
                self._send(transport, batch)
            except Exception:  # a fault in one batch must not end the reports for good
                logger.exception("usage could not be sent")
                self._note_failure(self._timings.backoff_max)
        transport.close()

    def _take_over(self) -> None:
        if self._spool is not None and self._spool.is_needed():
            with self._spool_lock:
                left = self._spool.take_over()
            with self._changed:
                self._on_disk |= {event["event_id"] for event in left}
                self._events.extendleft(reversed(left))

    def _next_batch(self) -> list[Event] | None:
        while True:
            with self._changed:
                # A closed reporter may have another thread by the time this one wakes.
                if self._thread is not threading.current_thread():
                    return None
                wait = self._wait_time()
                if wait is not None and wait <= 0:
                    return list(islice(self._events, self._batch_size))
                self._changed.wait(wait)
                away = self._failures > 0
            if away and time.monotonic() >= self._spill_at:
                self._spill()

    def _wait_time(self) -> float | None:
        """Seconds to the next thing to do; None while there is nothing."""
        if not self._events:
            return None
        if len(self._events) >= MAX_BATCH and not self._failures:
            return 0
        wait = max(self._next_send, self._held_until) - time.monotonic()
        return min(wait, self._timings.usage_delay) if self._failures and wait > 0 else wait

    def _send(self, transport: Transport, batch: list[Event]) -> None:
        try:
            rejected = transport.send_usage(batch)
        except Refused as error:
            self._refused(batch, error)
        except Throttled as error:
            patience = min(error.retry_after or 0, self._timings.retry_after_max)
            self._held_until = time.monotonic() + patience
            self._note_failure(max(patience, self._timings.backoff_min))
        except Unauthorized as error:
            logger.warning("usage is not accepted: %s", error)
            self._note_failure(self._timings.unauthorized_min)
        except TransportError as error:
            logger.info("usage could not be sent: %s", error)
            # Without the endpoint there is nothing to hurry for.
            last = 32 if isinstance(error, NotFound) else self._failures
            ceiling = self._timings.backoff_min * 2.0 ** min(last + 1, 32)
            longest = min(ceiling, self._timings.backoff_max)
            self._note_failure(random.uniform(self._timings.backoff_min, longest))  # noqa: S311
        else:
            if rejected:
                logger.warning("usage events were rejected: %s", "; ".join(rejected[:5]))
            self._acknowledge(batch, lost=len(rejected))

    def _refused(self, batch: list[Event], error: Refused) -> None:
        """Too large, or something in it is unacceptable: find out what, and do without it."""
        if len(batch) > 1:
            self._batch_size = len(batch) // 2
            return
        logger.warning("a usage event is refused: %s", error)
        self._acknowledge(batch, lost=1)

    def _acknowledge(self, batch: list[Event], *, lost: int) -> None:
        with self._changed:
            for event in batch:
                if self._events and self._events[0] is event:  # not let go of in the meantime
                    self._events.popleft()
                self._on_disk.discard(event["event_id"])
            self.dropped += lost
            self._failures = 0
            full = len(batch) == self._batch_size  # then more waits, most likely
            delay = 0.0 if full or self._flushing else self._timings.usage_delay
            self._next_send = time.monotonic() + delay
            self._batch_size = min(self._batch_size * 2, MAX_BATCH)
            self._flushing = self._flushing and bool(self._events)
            self._changed.notify_all()
        with self._spool_lock:
            if self._spool is not None and not self._on_disk:
                self._spool.clear()

    def _note_failure(self, wait: float) -> None:
        self._spill()
        with self._changed:
            self._failures += 1
            self._failed_ever += 1
            self._flushing = False
            self._next_send = time.monotonic() + wait
            self._changed.notify_all()

    def _spill(self) -> None:
        """Put on disk what is not there yet."""
        if self._spool is None:
            return
        self._spill_at = time.monotonic() + self._timings.usage_delay
        with self._spool_lock:
            if self._spool.lines > 2 * MAX_EVENTS:  # mostly sent by now: begin a new file
                self._spool.clear()
                self._on_disk.clear()
            with self._changed:
                waiting = [e for e in self._events if e["event_id"] not in self._on_disk]
            if waiting and self._spool.append(waiting):
                self._on_disk |= {event["event_id"] for event in waiting}

    def _join(self, thread: threading.Thread, deadline: float) -> None:
        while thread.is_alive() and time.monotonic() < deadline:
            if self._transport is not None:
                self._transport.interrupt()
            thread.join(0.05)


_reporters: weakref.WeakSet[UsageReporter] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    for reporter in list(_reporters):
        reporter.at_exit()


def _flush_before_a_child_process_ends() -> None:
    """Pool workers end by `os._exit`, past `atexit`; their own finalizers are what runs."""
    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None:
            util.Finalize(None, _at_exit, exitpriority=10)
