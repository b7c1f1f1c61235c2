"""How long to wait before the next try: random, so that clients do not march in step. Pure."""

import random

from ._events import Failure
from ._timings import Timings


class Delays:
    """The protocol's waits in seconds, drawn afresh at each call."""

    def __init__(self, timings: Timings, rng: random.Random | None = None) -> None:
        self._timings = timings
        self._rng = rng or random.Random()  # noqa: S311  # spreads load, hides nothing

    def poll(self) -> float:
        """Between polls while the stream is away."""
        return self._spread(self._timings.poll)

    def safety_poll(self) -> float:
        """Between polls while the stream is fine."""
        return self._spread(self._timings.safety_poll)

    def within(self, seconds: float) -> float:
        """Any moment of a time in which all clients are to ask once."""
        return self._rng.uniform(0, seconds)

    def after(self, failure: Failure, failures: int) -> float:
        """From the minimum up to a bound that doubles with each failure; a Retry-After on top."""
        times = self._timings
        bound = times.backoff_min * 2.0 ** min(failures, 16)
        delay = self._rng.uniform(times.backoff_min, min(bound, times.backoff_max))
        return delay + min(failure.retry_after or 0, times.retry_after_max)

    def after_full_house(self) -> float:
        """The server has no room for a stream: not soon."""
        return self._rng.uniform(self._timings.backoff_max / 2, self._timings.backoff_max)

    def after_refusal(self, refusals: int) -> float:
        """A refused token: doubling with each refusal."""
        times = self._timings
        delay = times.unauthorized_min * 2.0 ** min(refusals - 1, 16)
        return min(times.unauthorized_max, delay * self._rng.uniform(1, 1 + times.poll_spread))

    def _spread(self, delay: float) -> float:
        part = self._timings.poll_spread
        return delay * self._rng.uniform(1 - part, 1 + part)
