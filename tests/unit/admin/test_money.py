"""Money as pages write it: rounded for the eye, never to nothing."""

from decimal import Decimal

import pytest

from app.admin.money import dollars, exact_dollars


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.000000000001", "under $0.0001"),
        ("0.00004", "under $0.0001"),
        ("0.00005", "$0.0001"),
        ("0.0213", "$0.0213"),
        ("0.99999", "$1.0000"),
        ("1", "$1.00"),
        ("1.005", "$1.01"),
        ("1234567.891", "$1,234,567.89"),
    ],
)
def test_dollars(amount: str, shown: str) -> None:
    assert dollars(amount) == shown
    assert dollars(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0.03", "$0.03"), ("0.0020", "$0.002"), ("50.000000000000", "$50.00"), ("1234", "$1,234.00")],
)
def test_a_limit_is_shown_as_it_was_entered(amount: str, shown: str) -> None:
    assert exact_dollars(Decimal(amount)) == shown
