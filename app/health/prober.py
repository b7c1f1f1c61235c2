"""Checks what is due, many at a time, and stores what they saw in few transactions.

A thousand providers are two thousand transactions if each check claims and records by itself: most
of the time goes into threads that wait for each other, and on SQLite a save of the admin's waits
with them.
"""

import logging
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from app.core.clock import utcnow
from app.core.db import db
from app.core.http import Outbound, outbound
from app.health.claims import Claim, claim_due
from app.health.results import Finding, record
from app.providers.adapters import ProbeResult

AT_ONCE = 64
AHEAD = 2
"""For each check that runs, so many are claimed: the next begins as soon as one has ended."""
GATHER = 0.1
"""Seconds in which results are collected for one transaction."""

SHORTEST_CALL = 1.0  # seconds

log = logging.getLogger(__name__)


class Prober:
    """A process has one. Its threads probe, and know no database; one thread claims and records."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._wanted = threading.Event()
        self._busy = threading.Lock()
        self._stopped = False

    def run(self, only: Collection[int] | None = None) -> int:
        """Check everything that is due (``only`` these providers); how many results counted.

        A thread that finds another one at it leaves the work to that one, which looks once more.
        """
        counted = 0
        self._wanted.set()
        while self._wanted.is_set() and not self._stopped and self._busy.acquire(blocking=False):
            try:
                counted += self._work(only)
            finally:
                self._busy.release()
        return counted

    def stop(self) -> None:
        """Begin no more checks: those under way are what a shutdown waits for."""
        self._stopped = True

    def _work(self, only: Collection[int] | None) -> int:
        counted, running = 0, set[Future[Finding]]()
        http = outbound()
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="probe") as pool:
            while running or (self._wanted.is_set() and not self._stopped):
                for claim in self._claim(AHEAD * self._at_once - len(running), only):
                    running.add(pool.submit(probe, claim, http))
                done, running = wait(running, GATHER)
                if done:
                    counted += record([future.result() for future in done])
                    db.session.remove()
        return counted

    def _claim(self, room: int, only: Collection[int] | None) -> list[Claim]:
        if self._stopped or room <= 0 or not self._wanted.is_set():
            return []
        self._wanted.clear()
        claims = claim_due(utcnow(), room, only)
        db.session.remove()  # no connection is held while the providers take their time
        if claims:
            self._wanted.set()  # there may be more
        return claims


def probe(claim: Claim, http: Outbound) -> Finding:
    """Look at the provider. Never raises: a bug must not leave it validating for ever."""
    began = time.perf_counter()
    try:
        result = _look(claim, http)
    except Exception as error:
        # Its text may hold a key.
        log.error("provider %s: adapter raised %s", claim.provider_id, type(error).__name__)
        result = ProbeResult(False, error=f"The check itself failed ({type(error).__name__}).")
    return Finding(claim, result, round((time.perf_counter() - began) * 1000))


def _look(claim: Claim, http: Outbound) -> ProbeResult:
    if claim.hindrance:
        return ProbeResult(False, error=claim.hindrance)
    began = time.perf_counter()
    listed = claim.adapter.probe(claim.target, http)
    if not listed.ok or claim.call_model is None:
        return listed
    # The deadline is the whole check's.
    left = max(http.deadline - (time.perf_counter() - began), SHORTEST_CALL)
    call = claim.adapter.call(claim.target, claim.call_model, {}, http.within(left))
    if call.ok:
        return listed
    error = f"It answers, but a call of {claim.call_model} fails: {call.error}"
    return replace(listed, ok=False, http_status=call.http_status, error=error)
