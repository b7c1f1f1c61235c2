"""From prices as people enter them (per million, per thousand) to rates a token, exactly."""

from decimal import Decimal
from typing import Any

from app.prices.book import Entry
from app.prices.cost import Rates, Source, Tier, TokenRates, shifted
from app.prices.models import Price

PER_1M = {
    "input": "input_per_1m",
    "cached_input": "cached_input_per_1m",
    "cache_write": "cache_write_per_1m",
    "cache_write_1h": "cache_write_1h_per_1m",
    "output": "output_per_1m",
    "reasoning": "reasoning_per_1m",
}
"""How the price table names the classes of tokens."""
PER_1K = {
    "input": "cost_per_1k_input_tokens",
    "cached_input": "cost_per_1k_cached_input_tokens",
    "output": "cost_per_1k_output_tokens",
    "reasoning": "cost_per_1k_reasoning_tokens",
}
"""How an agent's step names them."""


def rates_of_step(step: Any) -> Rates | None:
    """A step's own prices (anything with ``cost_per_1k_*``); None where it states none."""
    amounts = {name: getattr(step, field) for name, field in PER_1K.items()}
    if all(amount is None for amount in amounts.values()):
        return None
    return Rates(source=Source.STEP, base=_token_rates(amounts, -3))


def entry_of(row: Price) -> Entry:
    """A row of the price table for the book."""
    return Entry(
        id=row.id,
        provider_type=row.provider_type,
        provider_id=row.provider_id,
        model=row.model,
        service_tier=row.service_tier,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        rates=rates_of_row(row),
    )


def rates_of_row(row: Price) -> Rates:
    """What a row of the price table says."""
    base = {name: getattr(row, field) for name, field in PER_1M.items()}
    return Rates(
        source=Source.TABLE,
        base=_token_rates(base, -6),
        tiers=tuple(Tier(it["above"], _tier_rates(base, it)) for it in row.tiers),
        per_request=row.per_request,
        web_search=shifted(row.web_search_per_1k, -3),
        currency=row.currency,
    )


def _tier_rates(base: dict[str, Decimal | None], tier: dict[str, Any]) -> TokenRates:
    """A tier's rates: what it does not name stays as it is below."""
    own = {name: Decimal(tier[field]) for name, field in PER_1M.items() if field in tier}
    return _token_rates({**base, **own}, -6)


def _token_rates(amounts: dict[str, Decimal | None], power: int) -> TokenRates:
    return TokenRates(**{name: shifted(amount, power) for name, amount in amounts.items()})
