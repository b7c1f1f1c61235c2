"""The grid that a provider's checks stand on."""

from datetime import UTC, datetime, timedelta

import pytest

from app.health.slots import next_slot

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("previous", "now", "expected"),
    [
        (None, 0, 300),  # a first check begins the grid
        (0, 0, 300),
        (0, 4, 300),  # late by a sweep: the next one is not late as well
        (0, 299, 300),
        (0, 300, 600),  # so late that the next slot is there already: it was this check
        (0, 1000, 1200),  # nobody checked for a while: no check is made up for
        (60, 0, 300),  # checked before its slot, by another clock: a new grid
    ],
)
def test_the_next_slot(previous: int | None, now: int, expected: int) -> None:
    before = None if previous is None else NOON + timedelta(seconds=previous)
    found = next_slot(before, NOON + timedelta(seconds=now), 300)
    assert found == NOON + timedelta(seconds=expected)


def test_no_interval_means_no_slot() -> None:
    assert next_slot(NOON, NOON, 0) is None
