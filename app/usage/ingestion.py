"""Taking events in: each once, priced once, summed up at once, and stored before it is said so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast

import sqlalchemy as sa

from app.core.clock import utcnow
from app.core.db import commit, db, reading
from app.prices.cost import CURRENCY
from app.usage.budget_counting import count_calls
from app.usage.bulk import insert_rows, insert_unless_there
from app.usage.cubes import QUARTER, CallKey, floor
from app.usage.event_fields import SKEW, Event, Rejected, read_event
from app.usage.measures import MAX_COST, Sums, added, measures_of
from app.usage.models import UsageEvent, UsageEventId
from app.usage.pricing import Price, Pricer, written
from app.usage.reach import Reach
from app.usage.rollups import add_calls

EVENTS = cast(sa.Table, UsageEvent.__table__)
IDS = cast(sa.Table, UsageEventId.__table__)
OF_PRICE = ("cost", "currency", "price_source", "rates")
COLUMNS = (*Event._fields, "received_at", "clock_skew", *OF_PRICE)


@dataclass(frozen=True)
class Rejection:
    """Why one event of a batch was not taken."""

    index: int
    code: str
    message: str


@dataclass
class Receipt:
    """What became of a batch."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = field(default_factory=list)

    def reject(self, index: int, reason: Rejected) -> None:
        """Say no to the event at ``index``."""
        self.rejected.append(Rejection(index, reason.code, str(reason)))


class _Candidate(NamedTuple):
    place: int
    event: Event
    digest: bytes


def ingest(raw: Sequence[Any], reach: Reach) -> Receipt:
    """Store the events that are good, new and within the caller's reach; committed on return.

    Raises Unavailable where the database is busy; then nothing is stored.
    """
    receipt, now = Receipt(), utcnow()
    candidates = _read(raw, receipt, now)
    with reading():
        candidates = [one for one in candidates if _is_within(reach, one, receipt)]
        prices = _price(candidates, receipt)
    claimed = _claim([one for one in candidates if one.place in prices], receipt, now)
    if claimed:
        _store([(one.event, prices[one.place]) for one in claimed], now)
    commit()
    receipt.accepted = len(claimed)
    receipt.rejected.sort(key=lambda rejection: rejection.index)
    return receipt


def call_key(event: Event) -> CallKey:
    """Where a call is counted."""
    quarter = floor(int(event.started_at.timestamp()), QUARTER)
    return CallKey(event.agent_id, event.provider, event.model, event.task or "", quarter)


def sum_up(priced: Iterable[tuple[Event, Price]]) -> dict[CallKey, Sums]:
    """The sums of calls, by where they are counted."""
    calls: dict[CallKey, Sums] = {}
    for event, price in priced:
        key, sums = call_key(event), measures_of(event, price.cost)
        calls[key] = added(calls[key], sums) if key in calls else sums
    return calls


def columns_of(price: Price) -> tuple[Any, ...]:
    """OF_PRICE: what is stored of a price, and stays whatever becomes of the prices."""
    if price.rates is None:
        return (None, CURRENCY, None, None)
    rates = price.rates
    return (price.cost, rates.currency, rates.source.value, written(rates))


def _read(raw: Sequence[Any], receipt: Receipt, now: datetime) -> list[_Candidate]:
    """The good events, each id once."""
    found: dict[str, _Candidate] = {}
    for index, item in enumerate(raw):
        try:
            event = read_event(item, now)
        except Rejected as reason:
            receipt.reject(index, reason)
            continue
        digest = event.digest
        first = found.setdefault(event.event_id, _Candidate(index, event, digest))
        if first.place != index:
            _tell_twins_apart(receipt, index, same=first.digest == digest)
    return list(found.values())


def _is_within(reach: Reach, candidate: _Candidate, receipt: Receipt) -> bool:
    if reach.covers(candidate.event.agent_id, candidate.event.requested_agent_id):
        return True
    message = f"agent_id: this token is not for the agent '{candidate.event.agent_id}'."
    receipt.reject(candidate.place, Rejected("forbidden", message))
    return False


def _price(candidates: Sequence[_Candidate], receipt: Receipt) -> dict[int, Price]:
    """The prices by index; what costs more than anything can is rejected."""
    pricer = Pricer({one.event.agent_id for one in candidates})
    prices: dict[int, Price] = {}
    for one in candidates:
        price = pricer.price(one.event)
        if price.cost is not None and price.cost > MAX_COST:
            message = "It would cost more than a million: the counts or the prices are wrong."
            receipt.reject(one.place, Rejected("out_of_range", message))
        else:
            prices[one.place] = price
    return prices


def _claim(candidates: Sequence[_Candidate], receipt: Receipt, now: datetime) -> list[_Candidate]:
    """The candidates whose ids nobody has counted before; they are this transaction's now."""
    if not candidates:
        return []
    rows = sorted((one.event.event_id, one.digest, now) for one in candidates)
    new = insert_unless_there(IDS, ("event_id", "digest", "received_at"), rows, "event_id")
    known = _find_digests(
        [one.event.event_id for one in candidates if one.event.event_id not in new]
    )
    for one in candidates:
        if one.event.event_id not in new:
            same = known[one.event.event_id] == one.digest
            _tell_twins_apart(receipt, one.place, same=same)
    return [one for one in candidates if one.event.event_id in new]


def _find_digests(event_ids: Sequence[str]) -> dict[str, bytes]:
    query = sa.select(IDS.c.event_id, IDS.c.digest).where(IDS.c.event_id.in_(event_ids))
    return dict(db.session.execute(query).tuples().all()) if event_ids else {}


def _tell_twins_apart(receipt: Receipt, index: int, *, same: bool) -> None:
    """An id that is known: either the same event again, or somebody's mistake."""
    if same:
        receipt.duplicates += 1
        return
    message = "event_id: another event has been reported under this id."
    receipt.reject(index, Rejected("conflict", message))


def _store(priced: Sequence[tuple[Event, Price]], now: datetime) -> None:
    rows = []
    for event, price in priced:
        skewed = event.started_at > now + SKEW
        rows.append((*event, now, skewed, *columns_of(price)))
    insert_rows(EVENTS, COLUMNS, rows)
    calls = sum_up(priced)
    add_calls(calls)
    count_calls(calls)
