"""Prices entered in another unit than meant: per token, per thousand, per million. Pure."""

from decimal import Decimal

from app.prices.cost import shifted, text_of

UNITS = {0: "one token", 3: "1,000 tokens", 6: "a million tokens"}
"""By the power of ten that the unit has."""

USUAL = (Decimal("0.001"), Decimal(1000))
"""Between these, in dollars a million tokens, lies every list price."""
TYPICAL = Decimal(1)
TOLERANCE = 30
"""How far from its list price an amount may be. Units are 1,000 apart, discounts are not."""


def find_mix_up(amount: Decimal, power: int, list_price: Decimal | None = None) -> str | None:
    """What is probably meant by an implausible amount; None where it may well be right.

    ``amount`` is for ten to ``power`` tokens; ``list_price``, if one is known, for a million.
    """
    if not amount or _is_plausible(amount, power, list_price):
        return None
    said = f"{text_of(amount)} for {UNITS[power]} is "
    if list_price:
        said += f"far from the list price, {_show(list_price, power)}."
    else:
        low, high = (_show(bound, power) for bound in USUAL)
        said += f"outside what models cost, {low} to {high}."
    plausible = [unit for unit in UNITS if _is_plausible(amount, unit, list_price)]
    if plausible:
        meant = min(plausible, key=lambda unit: _distance(amount, unit, list_price))
        right = text_of(shifted(amount, power - meant) or amount)
        said += f" Is it the price of {UNITS[meant]}? Then it is {right} for {UNITS[power]}."
    return said


def _is_plausible(amount: Decimal, power: int, list_price: Decimal | None) -> bool:
    per_1m = shifted(amount, 6 - power) or amount
    if list_price:
        return list_price / TOLERANCE < per_1m < list_price * TOLERANCE
    low, high = USUAL
    return low <= per_1m <= high


def _distance(amount: Decimal, power: int, list_price: Decimal | None) -> Decimal:
    """How many times as much or as little as usual the amount is, read so."""
    ratio = (shifted(amount, 6 - power) or amount) / (list_price or TYPICAL)
    return max(ratio, 1 / ratio)


def _show(per_1m: Decimal, power: int) -> str:
    return text_of(shifted(per_1m, power - 6) or per_1m)
