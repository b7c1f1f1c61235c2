"""When a provider is checked next. Pure.

A provider's checks stand on a grid: a check that came late does not move those after it, and time
in which nobody checked is not made up for.
"""

from datetime import datetime, timedelta


def next_slot(previous: datetime | None, now: datetime, seconds: int) -> datetime | None:
    """The first slot after ``now``, on the grid that ``previous`` is on; None = no grid yet, so one
    begins here. ``seconds`` is the distance between slots; 0 = there are none."""
    if seconds == 0:
        return None
    interval = timedelta(seconds=seconds)
    if previous is None or previous > now:
        return now + interval
    return previous + ((now - previous) // interval + 1) * interval
