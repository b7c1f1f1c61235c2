"""Prices as the database has them: the book in which the rates of calls are looked up."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.changes.services import peek_state, read_state
from app.changes.state_cache import StateCache, cache_of_app
from app.core.db import db
from app.prices.book import Entry, PriceBook, ProviderRef
from app.prices.catalogue import catalogue_id
from app.prices.cost import Rates, Source, Tier, TokenRates, shifted
from app.prices.models import Price
from app.providers.adapters import get_adapter, list_types
from app.providers.models import Provider

PER_1M = {
    "input": "input_per_1m",
    "cached_input": "cached_input_per_1m",
    "cache_write": "cache_write_per_1m",
    "cache_write_1h": "cache_write_1h_per_1m",
    "output": "output_per_1m",
    "reasoning": "reasoning_per_1m",
}
PER_1K = {
    "input": "cost_per_1k_input_tokens",
    "cached_input": "cost_per_1k_cached_input_tokens",
    "output": "cost_per_1k_output_tokens",
    "reasoning": "cost_per_1k_reasoning_tokens",
}
"""How an agent's step names the classes of tokens."""


def price_book() -> PriceBook:
    """The book of now, read anew only where the configuration has changed since."""
    cache: StateCache[PriceBook] = cache_of_app("price book", 1)
    book = cache.get(peek_state(), "book")
    if book is None:
        state = read_state()  # before the rows: what is newer than it says is found out next time
        book = PriceBook(dict(_providers()), map(entry_of, db.session.scalars(sa.select(Price))))
        cache.put(state, "book", book)
    return book


def find_rates(
    step_prices: Rates | None,
    provider: str,
    model: str,
    started_at: datetime,
    *,
    service_tier: str | None = None,
    processing: str | None = None,
) -> Rates | None:
    """The rates of one call; None = unknown. For many calls keep the ``price_book()``.

    ``provider`` is a name or a type; ``step_prices`` come from ``rates_of_step``.
    """
    return price_book().find_rates(
        provider,
        model,
        started_at,
        own=step_prices,
        service_tier=service_tier,
        processing=processing,
    )


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


def _providers() -> Iterator[tuple[str, ProviderRef]]:
    """Everybody that an event may name. Names come last: they go before types."""
    for name in list_types():
        ref = ProviderRef(name, listed_as=catalogue_id(name))
        for known_as in (name, *get_adapter(name).aliases):
            yield known_as, ref
    for row in db.session.scalars(sa.select(Provider).order_by(Provider.id)):
        yield row.name, ProviderRef(row.type, row.id, catalogue_id(row.type, row.base_url))
