"""Filling the price table from the catalogue: what it would say of the models that agents use."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app.agents.models import LLMConfig
from app.core.clock import utcnow
from app.core.db import commit, db
from app.prices import services as prices
from app.prices.book import SELF_HOSTED_TYPES, PriceBook, ProviderRef
from app.prices.catalogue import BY_URL, Listed, catalogue_id, find_listed
from app.prices.cost import Rates
from app.prices.models import AMOUNTS
from app.providers.models import Provider

NOTE = "From the catalogue."


class Outcome(StrEnum):
    """What filling means for one model."""

    ADD = "add"
    """The table says nothing of it yet."""
    CHANGE = "change"
    """The table says something else."""
    SAME = "same"
    NOT_LISTED = "not_listed"
    """The catalogue does not know it: enter its price, or it stays unpriced."""
    BY_THE_HOUR = "by_the_hour"
    """Its price depends on the time of day, which only the catalogue can say."""


@dataclass(frozen=True)
class Proposal:
    """One model that a chain uses, as the table has it and as the catalogue does."""

    provider: ProviderRef
    model: str
    outcome: Outcome
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def key(self) -> str:
        """By which it is found again."""
        return f"{self.provider.type} {self.provider.id or ''} {self.model}"

    @property
    def is_news(self) -> bool:
        """Whether there is anything to take over."""
        return self.outcome in (Outcome.ADD, Outcome.CHANGE)


def fill_table(
    models: Collection[str] | None = None,
    *,
    keys: Collection[str] | None = None,
    dry_run: bool = True,
) -> list[Proposal]:
    """What the catalogue would add or change; without ``dry_run`` it is done, from now on.

    ``models``, or closer ``keys``, are those to take over; None = all.
    """
    proposals = [
        it
        for it in _propose()
        if (models is None or it.model in models) and (keys is None or it.key in keys)
    ]
    if dry_run:
        return proposals
    for proposal in proposals:
        if proposal.is_news:
            prices.add_price(_row_of(proposal))
    commit()
    return proposals


def _propose() -> Iterator[Proposal]:
    book = prices.price_book()
    for ref, model in _models_in_use():
        listed = find_listed(ref.listed_as, model) if ref.listed_as else None
        before = _table_says(book, ref, model)
        after = _catalogue_says(listed)
        yield Proposal(ref, model, _compare(listed, before, after), before, after)


def _models_in_use() -> list[tuple[ProviderRef, str]]:
    """Of every enabled step: the type's price counts for all its providers, but for types that
    say nothing about whose models they serve."""
    query = (
        sa.select(Provider.type, Provider.base_url, Provider.id, LLMConfig.model_name)
        .join(Provider, Provider.id == LLMConfig.provider_id)
        .where(LLMConfig.enabled, Provider.is_active)
        .distinct()
    )
    found = set()
    for kind, base_url, provider_id, model in db.session.execute(query):
        if kind not in SELF_HOSTED_TYPES:
            id_ = provider_id if kind in BY_URL else None
            found.add((ProviderRef(kind, id_, catalogue_id(kind, base_url)), model))
    return sorted(found, key=lambda it: (it[0].type, it[0].id or 0, it[1]))


def _table_says(book: PriceBook, ref: ProviderRef, model: str) -> dict[str, Any] | None:
    entry = book.find_entry(ref, model, utcnow())
    return _shown(entry.rates) if entry else None


def _catalogue_says(listed: Listed | None) -> dict[str, Any] | None:
    rates = listed.rates(utcnow()) if listed else None
    return _shown(rates) if rates else None


def _shown(rates: Rates) -> dict[str, Any]:
    return {name: value for name, value in rates.as_dict().items() if name != "source"}


def _compare(
    listed: Listed | None, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> Outcome:
    if listed is None or after is None:
        return Outcome.NOT_LISTED
    if listed.is_by_the_hour:
        return Outcome.BY_THE_HOUR
    if before is None:
        return Outcome.ADD
    return Outcome.SAME if before == after else Outcome.CHANGE


def _row_of(proposal: Proposal) -> dict[str, Any]:
    said = proposal.after or {}
    who = proposal.provider
    amounts = {name: Decimal(said[name]) for name in AMOUNTS if name in said}
    target = {"provider": who.type} if who.id is None else {"provider_id": who.id}
    rest = {"tiers": said.get("tiers", []), "note": NOTE, "force": True}
    return {**target, "model": proposal.model, **amounts, **rest}
