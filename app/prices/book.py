"""Which rates a call is charged by: step, price table, catalogue, self-hosted, or unknown. Pure.

A book is what the database says at one state of the configuration, kept in memory: ten thousand
events a second are looked up in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from app.prices.catalogue import context_of, find_listed
from app.prices.cost import Rates, Source, TokenRates, completed, is_complete

SELF_HOSTED_TYPES = frozenset({"ollama", "vllm"})
FREE = Rates(
    source=Source.SELF_HOSTED,
    base=TokenRates(input=Decimal(0), output=Decimal(0)),
    per_request=Decimal(0),
    web_search=Decimal(0),
)
MAX_KNOWN = 16_384
ANY = "*"


class ProviderRef(NamedTuple):
    """What pricing needs to know of a provider."""

    type: str
    id: int | None = None
    """None for a type as such."""
    listed_as: str | None = None
    """Who it is to the catalogue."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the price table: whose rates, and when."""

    id: int
    provider_type: str
    provider_id: int | None
    """None: of every provider of the type."""
    model: str
    """Exactly this, or with a star at its end all that begin so."""
    service_tier: str | None
    """None: of every tier that has no entry of its own."""
    valid_from: datetime
    valid_until: datetime | None
    """The first moment that it no longer holds; None = open."""
    rates: Rates

    def concerns(self, provider: ProviderRef, model: str, tiers: frozenset[str]) -> bool:
        """Whether it is about this provider, model and service tier, at whatever time."""
        return (
            self.provider_type == provider.type
            and self.provider_id in (None, provider.id)
            and (self.service_tier is None or self.service_tier in tiers)
            and matches(self.model, model)
        )

    def holds(self, at: datetime) -> bool:
        """Whether it is in force then."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)

    @property
    def rank(self) -> tuple[bool, bool, int, bool, datetime, int]:
        """The closer to the call the better, then the later it began, then the later written."""
        exact = not self.model.endswith(ANY)
        closeness = (self.provider_id is not None, exact, len(self.model))
        return (*closeness, self.service_tier is not None, self.valid_from, self.id)


class PriceBook:
    """Finds the rates of calls, and remembers what it found."""

    def __init__(self, providers: Mapping[str, ProviderRef], entries: Iterable[Entry]) -> None:
        """``providers`` by every name that an event may give: names, types, their aliases."""
        self._providers = providers
        self._entries = sorted(entries, key=lambda entry: entry.rank, reverse=True)
        self._concerning: dict[object, Sequence[Entry]] = {}
        self._known: dict[object, Rates | None] = {}

    def find_provider(self, name: str) -> ProviderRef | None:
        """Who is meant: a provider's name goes before a type's."""
        return self._providers.get(name) or self._providers.get(name.strip().lower())

    def find_rates(
        self,
        provider: str | ProviderRef,
        model: str,
        at: datetime,
        *,
        own: Rates | None = None,
        service_tier: str | None = None,
        processing: str | None = None,
    ) -> Rates | None:
        """The rates of a call that began ``at``; None = unknown, which is not the same as free.

        ``own`` are the step's own prices; what they leave open comes from the next source.
        """
        who = self.find_provider(provider) if isinstance(provider, str) else provider
        if who is None:
            return own
        entry = self.find_entry(who, model, at, service_tier, processing) if self._entries else None
        listed = find_listed(who.listed_as, model) if who.listed_as else None
        moment = listed.moment(at) if listed else None
        key = (who, model, own, service_tier, processing, entry and entry.id, moment)
        if key not in self._known:
            context = context_of(service_tier, processing)
            sources = (
                own,
                entry.rates if entry else None,
                listed.rates(at, context) if listed else None,
                FREE if who.type in SELF_HOSTED_TYPES else None,
            )
            _make_room(self._known)
            self._known[key] = merged(sources)
        return self._known[key]

    def find_entry(
        self,
        who: ProviderRef,
        model: str,
        at: datetime,
        service_tier: str | None = None,
        processing: str | None = None,
    ) -> Entry | None:
        """The row of the price table that says what a call costs, if one does."""
        key = (who, model, service_tier, processing)
        if key not in self._concerning:
            tiers = frozenset(filter(None, (service_tier, processing)))
            entries = [it for it in self._entries if it.concerns(who, model, tiers)]
            _make_room(self._concerning)
            self._concerning[key] = entries
        return next((entry for entry in self._concerning[key] if entry.holds(at)), None)


def merged(sources: Iterable[Rates | None]) -> Rates | None:
    """The first source that says anything, completed by those behind it."""
    found: Rates | None = None
    for rates in sources:
        if rates is not None:
            found = completed(found, rates) if found else rates
        if found is not None and is_complete(found):
            break
    return found


def matches(pattern: str, model: str) -> bool:
    """Whether a model's name is meant; capitals do not matter."""
    pattern, model = pattern.lower(), model.lower()
    if pattern.endswith(ANY):
        return model.startswith(pattern.removesuffix(ANY))
    return model == pattern


def _make_room(known: dict[object, Any]) -> None:
    if len(known) >= MAX_KNOWN:
        known.clear()
