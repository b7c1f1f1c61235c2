"""Which check of a provider is worth an alert, also where the provider flaps. Pure.

up  -> down      the first failure
down -> up       the first success after it
up, down -> flapping   it has turned more than TURNS times within a window
flapping -> up, down   it has not turned for a whole window
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

TURNS = 3
WINDOW = 10
"""In check intervals."""


class Told(StrEnum):
    """What was last said of a provider."""

    UP = "up"
    DOWN = "down"
    FLAPPING = "flapping"


@dataclass(frozen=True)
class Outlook:
    """What is known of a provider before a check, and after it."""

    is_down: bool = False
    """As the last check found it. One that was never checked is not down."""
    told: Told = Told.UP
    turns: tuple[datetime, ...] = ()
    """When it turned of late, oldest first; no more of them than matter."""


def judge(before: Outlook, is_down: bool, now: datetime, window: timedelta) -> Outlook:
    """The outlook after a check; an alert is due where ``told`` is another than before."""
    turns = tuple(at for at in before.turns if at > now - window)
    if is_down != before.is_down:
        turns = (*turns, now)[-TURNS - 1 :]
    return Outlook(is_down, _tell(before.told, is_down, turns), turns)


def _tell(told: Told, is_down: bool, turns: tuple[datetime, ...]) -> Told:
    if len(turns) > TURNS or (told is Told.FLAPPING and turns):
        return Told.FLAPPING
    return Told.DOWN if is_down else Told.UP
