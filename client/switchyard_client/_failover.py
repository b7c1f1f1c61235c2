"""Which step of a chain to try next. Pure but for its lock: time is handed in.

A step that failed cools down: calls go straight to the next one, whoever met the failure. When
the time is over one call probes it while all others keep using what works.
"""

import threading
from collections.abc import Sequence, Set
from dataclasses import dataclass

from ._models import LLMStep

Key = tuple[str, str | None, str, str | None]


def key_of(step: LLMStep) -> Key:
    """What fails together: a new key, model or endpoint starts with a clean record."""
    return step.provider, step.endpoint, step.model, step.api_key_id


@dataclass(slots=True)
class Standing:
    """A step under a cloud; steps in good standing have none."""

    failures: int
    since: float
    until: float
    only_reported: bool = False
    """No call has failed here: only the server's health check did."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A position in the chain."""

    position: int
    last_resort: bool = False
    """All that is left has failed lately; this step's time is over first. The chain ends with it:
    it does not wade through steps that are known to be dead."""


class Cooldowns:
    """Who is cooling down, shared by all chains and threads of a client.

    Args:
        first: seconds after a first failure; each further one doubles it.
        longest: the cap.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._standings: dict[Key, Standing] = {}
        self._in_error: set[Key] = set()
        self._lock = threading.Lock()

    def pick(self, steps: Sequence[LLMStep], tried: Set[int], now: float) -> Pick | None:
        """The step to try next; None when all have been."""
        with self._lock:
            for step in steps:
                self._observe(step, now)
            left = [position for position in range(len(steps)) if position not in tried]
            for position in left:
                if self._claim(steps[position], now):
                    return Pick(position)
            if not left:
                return None
            for position in left:
                if self._only_reported(steps[position]):
                    return Pick(position)
            soonest = min(left, key=lambda position: self._until(steps[position]))
            return Pick(soonest, last_resort=True)

    def failed(self, step: LLMStep, began: float, now: float, patience: float = 0) -> None:
        """A call that began then has failed now; `patience`: what the provider asked for."""
        key = key_of(step)
        with self._lock:
            standing = self._standings.get(key)
            if standing is None:
                standing = self._standings[key] = Standing(0, now, now)
            elif standing.since > began:
                return  # the same incident, met by another thread
            wait = min(self._first * 2.0**standing.failures, self._longest)
            standing.failures = min(standing.failures + 1, 32)
            standing.since, standing.only_reported = now, False
            standing.until = now + max(wait, min(patience, self._longest))

    def succeeded(self, step: LLMStep) -> None:
        """A call went through: nothing is held against the step any more."""
        with self._lock:
            self._standings.pop(key_of(step), None)

    def released(self, step: LLMStep, began: float, now: float) -> None:
        """A call ended without saying anything about the step: the next one may probe it."""
        with self._lock:
            standing = self._standings.get(key_of(step))
            if standing is not None and standing.since <= began:
                standing.until = min(standing.until, now)

    def after_fork(self) -> None:
        """In the child: the lock may be held by a thread that is not here."""
        self._lock = threading.Lock()

    def _observe(self, step: LLMStep, now: float) -> None:
        """The server's health check counts once, when it turns: calls know better afterwards."""
        key = key_of(step)
        if step.provider_status != "error":
            if key in self._in_error:
                self._in_error.discard(key)
                if key in self._standings and self._standings[key].only_reported:
                    del self._standings[key]
        elif key not in self._in_error:
            self._in_error.add(key)
            self._standings.setdefault(key, Standing(1, now, now + self._first, True))

    def _claim(self, step: LLMStep, now: float) -> bool:
        standing = self._standings.get(key_of(step))
        if standing is None:
            return True
        if standing.until > now:
            return False
        standing.until = now + step.timeout  # this call is the probe
        return True

    def _only_reported(self, step: LLMStep) -> bool:
        """Nobody has called it in vain: a provider that the server does not reach may well be
        reached from here, so it is worth a call before the chain gives up."""
        standing = self._standings.get(key_of(step))
        return standing is not None and standing.only_reported

    def _until(self, step: LLMStep) -> float:
        standing = self._standings.get(key_of(step))
        return standing.until if standing else 0.0
