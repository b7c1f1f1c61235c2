"""What calls cost: a price book, and the own prices of the steps that made them."""

import json
from collections.abc import Collection, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.agents.models import Agent, LLMConfig
from app.core.db import db
from app.prices.book import PriceBook
from app.prices.cost import Rates, cost
from app.prices.rates import PER_1K, rates_of_step
from app.prices.services import price_book
from app.providers.adapters import find_adapter
from app.providers.models import Provider
from app.usage.event_fields import Event

_OWN = [getattr(LLMConfig, field) for field in PER_1K.values()]


class Price(NamedTuple):
    """What one call costs, and by which rates; both None where it is unpriced."""

    cost: Decimal | None
    rates: Rates | None


@lru_cache(maxsize=1024)
def written(rates: Rates) -> str:
    """Rates as they are stored beside a cost."""
    return json.dumps(rates.as_dict())


class _Step(NamedTuple):
    position: int
    provider_name: str
    provider_type: str
    rates: Rates | None


class Pricer:
    """Prices calls of a number of agents, as things are now and by the rates of their time."""

    def __init__(self, agent_ids: Collection[str]) -> None:
        self._book: PriceBook = price_book()
        self._steps = _load_priced_chains(agent_ids)

    def price(self, event: Event) -> Price:
        """The price of one call."""
        rates = self._book.find_rates(
            event.provider,
            event.model,
            event.started_at,
            own=self._own_rates(event) if self._steps else None,
            service_tier=event.service_tier,
            processing=event.processing,
        )
        if rates is None:
            return Price(None, None)
        amount = cost(event.usage, rates)
        return Price(amount, None if amount is None else rates)

    def _own_rates(self, event: Event) -> Rates | None:
        """The prices of the step that made the call: this provider and model, best at its place.

        A provider may be named like a type: it is meant where the chain has it.
        """
        chain = self._steps.get((event.agent_id, event.model), ())
        adapter = find_adapter(event.provider)
        fitting = [step for step in chain if step.provider_name == event.provider] or [
            step for step in chain if adapter and step.provider_type == adapter.type
        ]
        there = (step for step in fitting if step.position == event.attempt)
        step = next(there, fitting[0] if fitting else None)
        return step.rates if step else None


def _load_priced_chains(agent_ids: Iterable[str]) -> dict[tuple[str, str], list[_Step]]:
    """Every step of the agents that have a step with prices of its own, by agent and model."""
    has_own = sa.or_(*(column.is_not(None) for column in _OWN))
    query = (
        sa.select(
            Agent.agent_id,
            LLMConfig.model_name,
            LLMConfig.position,
            Provider.name,
            Provider.type,
            *_OWN,
        )
        .join(LLMConfig, LLMConfig.agent_pk == Agent.id)
        .join(Provider, Provider.id == LLMConfig.provider_id)
        .where(
            Agent.agent_id.in_(list(agent_ids)),
            Agent.id.in_(sa.select(LLMConfig.agent_pk).where(has_own)),
        )
        .order_by(Agent.agent_id, LLMConfig.position)
    )
    chains: dict[tuple[str, str], list[_Step]] = {}
    row: Any
    for row in db.session.execute(query):
        step = _Step(row.position, row.name, row.type, rates_of_step(row))
        chains.setdefault((row.agent_id, row.model_name), []).append(step)
    return chains
