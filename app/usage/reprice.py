"""Correcting costs afterwards, by today's prices for that time: asked for, and written down."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.core.actor import current_actor
from app.core.clock import utcnow
from app.core.db import commit, db, flush, reading
from app.usage.budget_counting import request_recount
from app.usage.cubes import CallKey
from app.usage.ingestion import call_key, columns_of
from app.usage.listing import Selection, event_of, slices
from app.usage.measures import NOTHING, Sums, added, measures_of
from app.usage.models import UsageEvent, UsageRepricing
from app.usage.pricing import Price, Pricer
from app.usage.rollups import add_calls


@dataclass
class Repriced:
    """What became, or would become, of the costs of a selection of events."""

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


def reprice(
    selection: Selection, *, dry_run: bool, tell: Callable[[int], Any] | None = None
) -> Repriced:
    """Price events anew; each changed cost is kept beside the new one in ``usage_repricings``.

    In slices of a transaction each: run it again where it was cut short. ``tell`` hears how many
    events each slice had.
    """
    report = Repriced()
    for rows in slices(selection):
        if dry_run:
            with reading():
                _compare(rows, report)
        else:
            _correct([row.event_id for row in rows], report)
        if tell:
            tell(len(rows))
    if report.changed and not dry_run:
        request_recount()
        commit()
    return report


def _compare(rows: list[UsageEvent], report: Repriced) -> list[tuple[UsageEvent, Price]]:
    """The events whose cost is another one by now."""
    pricer = Pricer({row.agent_id for row in rows})
    changed = []
    for row in rows:
        price = pricer.price(event_of(row))
        report.add(row.cost, price.cost)
        if price.cost != row.cost:
            changed.append((row, price))
    return changed


def _correct(event_ids: list[str], report: Repriced) -> None:
    query = sa.select(UsageEvent).where(UsageEvent.event_id.in_(event_ids))
    # In one order: of two corrections at once, the second sees what the first has done.
    locked = query.order_by(UsageEvent.event_id).with_for_update()
    changes: dict[CallKey, Sums] = {}
    for row, price in _compare(list(db.session.scalars(locked)), report):
        _write_down(row, price)
        key = call_key(event_of(row))
        changes[key] = added(changes.get(key, NOTHING), _difference(row, price))
        row.cost, row.currency, row.price_source, row.rates_json = columns_of(price)
    flush()
    add_calls(changes)
    commit()
    db.session.expunge_all()


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
