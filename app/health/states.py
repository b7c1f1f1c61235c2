"""The life of a provider's status, as a table. Pure.

    pending -> validating -> connected | error

A save or a request takes it back to pending, a check that is due or was cut short begins anew.
"""

import logging
from enum import StrEnum

from app.providers.models import Provider
from app.providers.models import ValidationStatus as Status

log = logging.getLogger(__name__)


class Event(StrEnum):
    """What can happen to a provider's status."""

    REQUESTED = "requested"
    """It was saved, or somebody asked for a check."""
    CLAIMED = "claimed"
    """A worker begins a check."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: dict[tuple[Status, Event], Status] = {
    (Status.PENDING, Event.REQUESTED): Status.PENDING,
    (Status.VALIDATING, Event.REQUESTED): Status.PENDING,
    (Status.CONNECTED, Event.REQUESTED): Status.PENDING,
    (Status.ERROR, Event.REQUESTED): Status.PENDING,
    (Status.PENDING, Event.CLAIMED): Status.VALIDATING,
    (Status.VALIDATING, Event.CLAIMED): Status.VALIDATING,  # the worker before died
    (Status.CONNECTED, Event.CLAIMED): Status.VALIDATING,
    (Status.ERROR, Event.CLAIMED): Status.VALIDATING,
    (Status.VALIDATING, Event.SUCCEEDED): Status.CONNECTED,
    (Status.VALIDATING, Event.FAILED): Status.ERROR,
}

SETTLED = (Status.CONNECTED, Status.ERROR)


class ImpossibleTransition(ValueError):
    """The event cannot happen in this state: somebody skipped a step."""


def next_status(status: Status, event: Event) -> Status:
    """The status after ``event``. Raises ImpossibleTransition."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise ImpossibleTransition(f"{event} while {status}") from None


def settle(provider: Provider, status: Status) -> None:
    """Let the turn, and only a turn, count as a change: the tracker raises a rev for it."""
    if provider.settled_status == status:
        return
    log.info("provider %s: %s -> %s", provider.id, provider.settled_status, status)
    provider.settled_status = status
