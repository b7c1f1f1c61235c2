"""The transition table, cell by cell."""

import itertools

import pytest

from app.health.states import SETTLED, TRANSITIONS, Event, ImpossibleTransition, next_status
from app.providers.models import ValidationStatus as Status

REQUESTED, CLAIMED, SUCCEEDED, FAILED = Event
EXPECTED = {
    Status.PENDING: {REQUESTED: Status.PENDING, CLAIMED: Status.VALIDATING},
    Status.VALIDATING: {
        REQUESTED: Status.PENDING,
        CLAIMED: Status.VALIDATING,
        SUCCEEDED: Status.CONNECTED,
        FAILED: Status.ERROR,
    },
    Status.CONNECTED: {REQUESTED: Status.PENDING, CLAIMED: Status.VALIDATING},
    Status.ERROR: {REQUESTED: Status.PENDING, CLAIMED: Status.VALIDATING},
}


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_every_cell_of_the_table(status: Status, event: Event) -> None:
    expected = EXPECTED[status].get(event)
    if expected is None:
        with pytest.raises(ImpossibleTransition, match=f"{event} while {status}"):
            next_status(status, event)
    else:
        assert next_status(status, event) is expected


def test_a_result_counts_only_while_validating() -> None:
    assert {s for (s, event) in TRANSITIONS if event in (SUCCEEDED, FAILED)} == {Status.VALIDATING}


def test_no_status_is_a_dead_end_and_each_can_be_reached() -> None:
    assert {status for status, _event in TRANSITIONS} == set(Status)
    assert set(TRANSITIONS.values()) == set(Status)
    assert set(SETTLED) == {Status.CONNECTED, Status.ERROR}
