"""The verbs of the price table, and the book in which the rates of calls are looked up.

The table is append-only: a row's amounts never change, and a row that has been in force stays.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.changes.services import peek_state, read_state
from app.changes.state_cache import StateCache, cache_of_app
from app.core.clock import utcnow
from app.core.db import UtcDateTime, commit, db, find_row, flush, lock
from app.core.errors import Conflict, Invalid, NotFound
from app.core.versions import check_version
from app.prices.book import PriceBook, ProviderRef
from app.prices.catalogue import catalogue_id, find_listed
from app.prices.cost import CURRENCY, Rates, TokenRates, shifted
from app.prices.models import AMOUNTS, Price
from app.prices.plausible import find_mix_up
from app.prices.rates import PER_1K, PER_1M, entry_of
from app.providers.adapters import find_adapter, get_adapter, list_types
from app.providers.models import Provider


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
    """The rates of one call; None = unknown, which is not the same as free.

    ``provider`` is a name or a type; ``step_prices`` come from ``rates_of_step``. For many calls
    keep the ``price_book()``.
    """
    return price_book().find_rates(
        provider,
        model,
        started_at,
        own=step_prices,
        service_tier=service_tier,
        processing=processing,
    )


def get_price(price_id: int, *, for_update: bool = False) -> Price:
    """The row with this id. Raises NotFound."""
    row = find_row(Price, price_id, for_update=for_update)
    if row is None:
        raise NotFound("There is no such price.")
    return row


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """The table by provider and model, what began last first; ``at`` = only what held then."""
    query = sa.select(Price).order_by(
        Price.provider_type, Price.model, Price.valid_from.desc(), Price.id.desc()
    )
    if args.get("provider"):
        ref = _find_provider(args["provider"])
        query = query.where(Price.provider_type == ref.type)
        if ref.id is not None:
            query = query.where(sa.or_(Price.provider_id.is_(None), Price.provider_id == ref.id))
    if args.get("model"):
        query = query.where(Price.model == args["model"])
    if args.get("search"):
        query = query.where(Price.model.icontains(args["search"], autoescape=True))
    if args.get("at"):
        at = sa.literal(args["at"], UtcDateTime)
        open_then = sa.or_(Price.valid_until.is_(None), Price.valid_until > at)
        query = query.where(Price.valid_from <= at, open_then)
    return query


def provider_names(rows: Collection[Price]) -> dict[int, str]:
    """Today's names of the providers that these rows are about."""
    ids = {row.provider_id for row in rows if row.provider_id is not None}
    query = sa.select(Provider.id, Provider.name).where(Provider.id.in_(ids))
    return dict(db.session.execute(query).tuples().all()) if ids else {}


def list_known_providers() -> list[str]:
    """Whom a price may be about: every type, then every provider by its name."""
    names = db.session.scalars(sa.select(Provider.name).order_by(Provider.name))
    return list(dict.fromkeys([*list_types(), *names]))


def is_in_force(row: Price) -> bool:
    """Whether calls of now may be charged by it."""
    return entry_of(row).holds(utcnow())


def doubt_step_prices(step: Any) -> list[str]:
    """What to tell of a step's own prices that are probably for another unit, each named.

    They are kept all the same: unlike a row of the table, a step's prices can be changed.
    """
    amounts = {name: getattr(step, field) for name, field in PER_1K.items()}
    if not any(amounts.values()):
        return []
    listed = _list_prices(_ref_of(step.provider), step.model_name)
    said = {
        PER_1K[name]: find_mix_up(amount, 3, listed.get(name))
        for name, amount in amounts.items()
        if amount is not None
    }
    return [f"{field}: {text}" for field, text in said.items() if text]


def create_price(data: dict[str, Any]) -> Price:
    """Add a row. Raises Invalid, and Conflict where one began at the same moment.

    With ``supersede`` the new row counts from that moment on instead; the old one stays readable.
    With ``force`` an amount is kept that looks as if it were meant for another unit.
    """
    row = add_price(data)
    commit()
    return row


def add_price(data: dict[str, Any]) -> Price:
    """The same within a larger transaction: flushed, not committed."""
    ref = _provider_of(data)
    row = Price(
        provider_type=ref.type,
        provider_id=ref.id,
        model=data["model"],
        service_tier=data.get("service_tier"),
        valid_from=data.get("valid_from") or utcnow(),
        valid_until=data.get("valid_until"),
        currency=CURRENCY,
        tiers=data.get("tiers") or [],
        note=data.get("note"),
        **{name: data.get(name) for name in AMOUNTS},
    )
    if row.valid_until is not None and row.valid_until <= row.valid_from:
        raise Invalid.field("valid_until", "It would end before it begins.")
    if not data.get("force"):
        _check_plausible(row, ref)
    lock("prices")  # of two that begin at the same moment, one is refused
    if not data.get("supersede"):
        _refuse_double(row)
    db.session.add(row)
    flush()
    return row


def update_price(price_id: int, data: dict[str, Any], expected_version: int | None = None) -> Price:
    """End a row, put its end off, or note something. Raises NotFound, Stale, Invalid, Conflict."""
    row = get_price(price_id, for_update=True)
    check_version(row.version, expected_version)
    if "valid_until" in data and data["valid_until"] != row.valid_until:
        _check_end(row, data["valid_until"])
        row.valid_until = data["valid_until"]
    if "note" in data and data["note"] != row.note:
        row.note = data["note"]
    commit()
    return row


def end_price(price_id: int, expected_version: int | None = None) -> Price:
    """Let a row hold no more from now on. Raises NotFound, Stale, Conflict."""
    row = get_price(price_id, for_update=True)
    check_version(row.version, expected_version)
    now = utcnow()
    if not entry_of(row).holds(now):
        raise Conflict("It is not in force.")
    row.valid_until = now
    commit()
    return row


def delete_price(price_id: int, expected_version: int | None = None) -> None:
    """Take a row back that has never been in force. Raises NotFound, Stale, Conflict."""
    row = get_price(price_id, for_update=True)
    check_version(row.version, expected_version)
    if row.valid_from <= utcnow():
        raise Conflict(
            "Calls may have been charged by it, so it stays. "
            "End it with valid_until, or add a row that begins later."
        )
    db.session.delete(row)
    commit()


def _check_end(row: Price, end: datetime | None) -> None:
    now = utcnow()
    if row.valid_until is not None and row.valid_until <= now:
        raise Conflict("It has ended already: add a row instead.")
    if end is not None and end <= row.valid_from:
        raise Invalid.field("valid_until", "It would end before it begins.")
    if end is not None and end < now:
        raise Invalid.field("valid_until", "What was charged until now stays: now or later.")


def _refuse_double(row: Price) -> None:
    same = sa.select(Price.id).where(
        Price.provider_type == row.provider_type,
        Price.provider_id.is_not_distinct_from(row.provider_id),
        sa.func.lower(Price.model) == row.model.lower(),
        Price.service_tier.is_not_distinct_from(row.service_tier),
        Price.valid_from == row.valid_from,
    )
    if (found := db.session.scalar(same.limit(1))) is not None:
        raise Conflict(
            f"The price {found} begins at the same moment. "
            "Send another valid_from, or supersede: true to correct it."
        )


def _check_plausible(row: Price, ref: ProviderRef) -> None:
    """Refuse an amount that is probably for another unit. Raises Invalid naming each."""
    listed = _list_prices(ref, row.model)
    errors: dict[str, list[str]] = {}
    for name, field in PER_1M.items():
        amounts = {field: getattr(row, field)}
        for number, tier in enumerate(row.tiers):
            amounts[f"tiers.{number}.{field}"] = tier.get(field) and Decimal(tier[field])
        for path, amount in amounts.items():
            if amount is not None and (said := find_mix_up(amount, 6, listed.get(name))):
                errors[path] = [f"{said} Send force: true if it is right."]
    if errors:
        raise Invalid(errors)


def _list_prices(ref: ProviderRef, model: str) -> dict[str, Decimal]:
    """The catalogue's prices of now a million tokens; of what it does not know, nothing."""
    listed = find_listed(ref.listed_as, model.rstrip("*")) if ref.listed_as else None
    rates = listed.rates(utcnow()) if listed else None
    base = rates.base if rates else TokenRates()
    found = {name: shifted(getattr(base, name), 6) for name in PER_1M}
    return {name: amount for name, amount in found.items() if amount}


def _provider_of(data: dict[str, Any]) -> ProviderRef:
    if provider_id := data.get("provider_id"):
        provider = db.session.get(Provider, provider_id)
        if provider is None:
            raise Invalid.field("provider_id", "There is no such provider.")
        return _ref_of(provider)
    return _find_provider(data["provider"])


def _find_provider(text: str) -> ProviderRef:
    """A type, which means all of its providers, or else one by its name. Raises Invalid."""
    if adapter := find_adapter(text):
        return ProviderRef(adapter.type, listed_as=catalogue_id(adapter.type))
    provider = db.session.scalar(sa.select(Provider).where(Provider.name == text))
    if provider is None:
        allowed = ", ".join(list_types())
        message = f"No provider has this name, and it is no type. Types: {allowed}."
        raise Invalid.field("provider", message)
    return _ref_of(provider)


def _ref_of(provider: Provider) -> ProviderRef:
    listed_as = catalogue_id(provider.type, provider.base_url)
    return ProviderRef(provider.type, provider.id, listed_as)


def _providers() -> Iterator[tuple[str, ProviderRef]]:
    """Everybody that an event may name. Names come last: they go before types."""
    for name in list_types():
        ref = ProviderRef(name, listed_as=catalogue_id(name))
        for known_as in (name, *get_adapter(name).aliases):
            yield known_as, ref
    for row in db.session.scalars(sa.select(Provider).order_by(Provider.id)):
        yield row.name, _ref_of(row)
