"""Money as people read it."""

import pytest

from app.admin.money import dollars


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("1234.567", "$1,234.57"),
        ("0.5", "$0.5000"),
        ("0.000049", "under $0.0001"),
    ],
)
def test_money_has_the_digits_that_it_needs(amount: str, shown: str) -> None:
    assert dollars(amount) == shown
