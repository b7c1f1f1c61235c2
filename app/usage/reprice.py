"""Correcting costs afterwards, by today's prices for that time: asked for, and written down."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.core.actor import current_actor
from app.core.clock import utcnow
from app.core.db import commit, db, flush, reading
from app.usage.budget_counting import request_recount
from app.usage.cubes import CallKey
from app.usage.ingestion import call_key, columns_of
from app.usage.listing import Cursor, Selection, cursor_of, event_of, slices
from app.usage.measures import NOTHING, Sums, added, measures_of
from app.usage.models import UsageEvent, UsageRepricing
from app.usage.pricing import Price, Pricer
from app.usage.rollups import add_calls

MAX_MODELS = 200
"""So many are told apart; what further ones change is told together, as OTHERS."""
OTHERS = ("", "")


@dataclass
class Repriced:
    """What became, or would become, of the costs of some events."""

    events: int = 0
    changed: int = 0
    old_cost: Decimal = Decimal(0)
    """Of all that were looked at."""
    new_cost: Decimal = Decimal(0)
    old_unpriced: int = 0
    new_unpriced: int = 0

    def add(self, old: Decimal | None, new: Decimal | None) -> None:
        """Count one event."""
        self.events += 1
        self.changed += old != new
        self.old_cost += old or 0
        self.new_cost += new or 0
        self.old_unpriced += old is None
        self.new_unpriced += new is None


@dataclass
class Repricing:
    """Pricing events anew, the newest first; each changed cost is kept beside the new one in
    ``usage_repricings``.

    In slices of a transaction each: it may be left after any of them and gone on with, or run once
    more from the beginning.
    """

    selection: Selection
    dry_run: bool
    report: Repriced = field(default_factory=Repriced)
    by_model: dict[tuple[str, str], Repriced] = field(default_factory=dict)
    """The events whose cost changes, by provider and model."""
    reached: Cursor | None = None
    """The last event that was looked at."""
    is_finished: bool = False

    def run(self, seconds: float = math.inf, tell: Callable[[int], Any] | None = None) -> Repriced:
        """Go on to the end, or until a slice has ended after so many seconds. It begins and ends
        transactions: none may be open. ``tell`` hears how many events each slice had."""
        end = time.monotonic() + seconds
        for rows in slices(self.selection, self.reached):
            if self.dry_run:
                with reading():
                    self._compare(rows)
            else:
                self._correct([row.event_id for row in rows])
            self.reached = cursor_of(rows[-1])
            if tell:
                tell(len(rows))
            if time.monotonic() >= end:
                return self.report
        self.is_finished = True
        return self.report

    def _compare(self, rows: list[UsageEvent]) -> list[tuple[UsageEvent, Price]]:
        """The events whose cost is another one by now."""
        pricer = Pricer({row.agent_id for row in rows})
        changed = []
        for row in rows:
            price = pricer.price(event_of(row))
            self.report.add(row.cost, price.cost)
            if price.cost != row.cost:
                self._of_model(row).add(row.cost, price.cost)
                changed.append((row, price))
        return changed

    def _of_model(self, row: UsageEvent) -> Repriced:
        key = (row.provider, row.model)
        if key not in self.by_model and len(self.by_model) >= MAX_MODELS:
            key = OTHERS
        return self.by_model.setdefault(key, Repriced())

    def _correct(self, event_ids: list[str]) -> None:
        query = sa.select(UsageEvent).where(UsageEvent.event_id.in_(event_ids))
        # In one order: of two corrections at once, the second sees what the first has done.
        locked = query.order_by(UsageEvent.event_id).with_for_update()
        changes: dict[CallKey, Sums] = {}
        for row, price in self._compare(list(db.session.scalars(locked))):
            _write_down(row, price)
            key = call_key(event_of(row))
            changes[key] = added(changes.get(key, NOTHING), _difference(row, price))
            row.cost, row.currency, row.price_source, row.rates_json = columns_of(price)
        flush()
        add_calls(changes)
        if changes:  # at once: of what is killed here, another run finds the costs right already
            request_recount()
        commit()


def _difference(row: UsageEvent, price: Price) -> Sums:
    """What the sums change by: the money, and whether it is unpriced."""
    event = event_of(row)
    old, new = measures_of(event, row.cost), measures_of(event, price.cost)
    return tuple(after - before for before, after in zip(old, new, strict=True))


def _write_down(row: UsageEvent, price: Price) -> None:
    db.session.add(
        UsageRepricing(
            at=utcnow(),
            actor=current_actor(),
            event_id=row.event_id,
            old_cost=row.cost,
            new_cost=price.cost,
            old_rates=row.rates,
            new_rates=price.rates.as_dict() if price.rates else None,
        )
    )
