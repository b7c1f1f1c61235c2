"""Prices in another unit than meant: seen, and never where the price is an ordinary one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prices.cost import shifted
from app.prices.plausible import UNITS, find_mix_up

LISTED = st.decimals("0.002", "600", places=4).filter(bool)
POWERS = st.sampled_from(sorted(UNITS))
DEALS = st.decimals("0.05", "5", places=2)


@given(LISTED, POWERS, DEALS)
def test_a_discount_is_no_mix_up(listed: Decimal, power: int, deal: Decimal) -> None:
    amount = shifted(listed * deal, power - 6)
    assert amount is not None
    assert find_mix_up(amount, power, listed) is None


@given(LISTED, POWERS, POWERS, DEALS)
def test_the_unit_that_is_meant_is_named(
    listed: Decimal, power: int, meant: int, deal: Decimal
) -> None:
    amount = shifted(listed * deal, meant - 6)
    assert amount is not None
    said = find_mix_up(amount, power, listed)
    assert (said is None) is (power == meant)
    assert said is None or f"Is it the price of {UNITS[meant]}?" in said


@pytest.mark.parametrize("power", UNITS)
def test_free_is_free_in_every_unit(power: int) -> None:
    assert find_mix_up(Decimal(0), power, Decimal(2)) is None


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("0.001", None),
        ("1000", None),
        ("0.0004", "Is it the price of 1,000 tokens? Then it is 0.4 for a million tokens."),
        ("0.000002", "Is it the price of one token? Then it is 2 for a million tokens."),
        ("30000", "30000 for a million tokens is outside what models cost, 0.001 to 1000."),
    ],
)
def test_without_a_list_price_what_models_cost_decides(amount: str, said: str | None) -> None:
    found = find_mix_up(Decimal(amount), 6)
    assert (found is None) is (said is None)
    assert found is None or found.endswith(said or "")
