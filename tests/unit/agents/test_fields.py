"""Prices and slugs, as they are sent."""

from decimal import Decimal
from typing import Any

import pytest
from marshmallow import ValidationError

from app.agents.fields import Price, Slug


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0", "0"),
        ("0.0", "0"),
        (0, "0"),
        ("0.003625", "0.003625"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1000000", "1000000"),
        ("999999.999999999999999999", "999999.999999999999999999"),
        ("1.50", "1.5"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        ("1e-7", "0.0000001"),
        ("1E+2", "100"),
        ("-0", "0"),
    ],
)
def test_a_price_is_exact(sent: Any, stored: str) -> None:
    amount = Price().deserialize(sent)
    assert isinstance(amount, Decimal)
    assert Price()._serialize(amount, "price", None).removeprefix("-") == stored
    assert amount == Decimal(str(sent))


@pytest.mark.parametrize(
    "sent",
    [
        *(-1, "-0.1", "1000000.1", "NaN", "sNaN", "Infinity", "1_000", "", " ", "x", "1,5", "٣"),
        *(True, None, [], {}, "1e999999999", "1e-999999999", "0." + "0" * 18 + "1", "9" * 100_000),
    ],
)
def test_what_is_no_price_is_refused(sent: Any) -> None:
    with pytest.raises(ValidationError):
        Price().deserialize(sent)


@pytest.mark.parametrize("slug", ["a", "0", "-", "a-b-9", "x" * 64, "default"])
def test_a_slug(slug: str) -> None:
    assert Slug().deserialize(slug) == slug


@pytest.mark.parametrize("slug", ["", "A", "a b", "a_b", "a\n", "x" * 65, "ä", "current", None, 1])
def test_what_is_no_slug_is_refused(slug: Any) -> None:
    with pytest.raises(ValidationError):
        Slug().deserialize(slug)
