"""How pages write money. Amounts come and stay exact; only what is shown is rounded."""

from decimal import ROUND_HALF_UP, Decimal

_LEAST = Decimal("0.0001")


def exact_dollars(amount: Decimal) -> str:
    """An amount that somebody entered: every digit of it, cents at least."""
    whole, _, rest = f"{amount:,f}".partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"


def dollars(amount: str | Decimal) -> str:
    """Money as people read it: cents, and as many digits more as a small sum needs."""
    exact = Decimal(amount)
    places = Decimal("0.01") if exact == 0 or exact >= 1 else _LEAST
    shown = exact.quantize(places, ROUND_HALF_UP)
    return f"${shown:,}" if shown or not exact else f"under ${_LEAST}"
