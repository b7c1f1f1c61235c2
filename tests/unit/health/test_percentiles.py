"""Percentiles by nearest rank."""

import pytest

from app.health.percentiles import percentiles_of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([7], (7, 7, 7)),
        ([2, 1], (1, 2, 2)),
        (list(range(1, 101)), (50, 95, 99)),
        (list(range(100, 0, -1)), (50, 95, 99)),
        ([10] * 98 + [500, 900], (10, 10, 500)),
    ],
)
def test_they_are_values_that_were_measured(
    values: list[int], expected: tuple[int, int, int] | None
) -> None:
    assert percentiles_of(values) == expected
