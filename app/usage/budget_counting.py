"""Counting spending against budgets, and what happens where one is spent.

Spending is added up in the transaction that stores the usage, so each call counts once, whatever
number of processes take it in. Locks are taken in one order everywhere: the spending, the budget,
then what it is for. The spending stays locked while a state is decided, so of many senders the last
one sees all of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import add
from typing import cast

import sqlalchemy as sa

from app.agents.halt import get_red_button
from app.agents.models import Agent, GlobalHalt
from app.core.clock import utcnow
from app.core.db import commit, db, flush, reading
from app.providers.models import BudgetState, Provider
from app.usage.budget_book import Limit, budget_book, moment_of, provider_names
from app.usage.budget_models import Budget, BudgetScope, BudgetSpend
from app.usage.budget_windows import Window, judge, window_at
from app.usage.bulk import add_up
from app.usage.cubes import CallKey
from app.usage.listing import Selection
from app.usage.measures import MEASURES, Sums, join_money, show_money
from app.usage.periods import Period
from app.usage.sums import Question, read_sums
from app.webhooks.models import EventType
from app.webhooks.services import announce

SPENDS = cast(sa.Table, BudgetSpend.__table__)
BUDGETS = cast(sa.Table, Budget.__table__)
SETTLING = timedelta(seconds=30)
"""A sender that began before a budget was there counts without it; by then it is through."""
SUMMED = ("cost_nanos", "cost_attos", "calls", "unpriced_calls")
_PLACES = [MEASURES.index(name) for name in SUMMED]

STANDS = {
    EventType.BUDGET_WARN: "has reached its warning threshold",
    EventType.BUDGET_BLOCKED: "is spent, and calls are blocked",
    EventType.BUDGET_OK: "blocks no more",
}

Target = tuple[BudgetScope, int]
"""Whom a budget is for; 0 = all."""


@dataclass(frozen=True)
class Spending:
    """What was spent in one window."""

    window: Window
    spent: Decimal = Decimal(0)
    calls: int = 0
    unpriced_calls: int = 0


def count_calls(calls: Mapping[CallKey, Sums]) -> None:
    """Count calls for the budgets that they belong to, and block where one is spent.

    Part of the caller's transaction, and the last part of it: not committed.
    """
    book = budget_book()
    if not book:
        return
    limits: dict[int, Limit] = {}
    added: dict[tuple[int, int], Sequence[int]] = {}
    for key, sums in calls.items():
        counted = [sums[place] for place in _PLACES]
        for limit in book.find(key.agent_id, key.provider):
            limits[limit.id] = limit
            where = (limit.id, limit.window(moment_of(key.quarter)).key)
            before = added.get(where)
            added[where] = [*map(add, before, counted)] if before else counted
    if not added:
        return
    # In one order everywhere: two senders never wait for each other.
    add_up(SPENDS, sorted((*key, *sums) for key, sums in added.items()))
    _settle_turned(limits.values())


def recount(budget_id: int) -> None:
    """Sum up what was spent in the window of now, whoever counted it, and settle the state.

    Committed. Whoever stores usage meanwhile waits, and adds to the new sum.
    """
    now = utcnow()
    budget = db.session.get(Budget, budget_id)
    if budget is None or not budget.is_active:
        db.session.rollback()
        return
    settled_at, requested_at = budget.updated_at + SETTLING, budget.recount_at
    window = window_at(budget.period, budget.timezone, now)
    add_up(SPENDS, [(budget_id, window.key, *[0] * len(SUMMED))])  # which takes its lock
    of_window = sa.and_(SPENDS.c.budget_id == budget_id, SPENDS.c.window_start == window.key)
    db.session.execute(sa.update(SPENDS).where(of_window).values(_sum_up(budget, window)))
    _settle([budget_id], now)
    db.session.execute(
        sa.update(BUDGETS)
        # Another request by now may be of costs that were corrected beside this sum.
        .where(BUDGETS.c.id == budget_id, BUDGETS.c.recount_at == requested_at)
        .values(recount_at=settled_at if settled_at > now else None)
    )
    commit()


def lock_spending(budget_id: int) -> None:
    """For whoever deletes a budget: what was counted for it goes, too, and is locked first."""
    of_budget = sa.select(SPENDS.c.window_start).where(SPENDS.c.budget_id == budget_id)
    db.session.execute(of_budget.order_by(SPENDS.c.window_start).with_for_update())


def request_recount() -> None:
    """Have every budget summed up anew soon: costs were corrected. Not committed."""
    active = sa.select(BUDGETS.c.id).where(BUDGETS.c.is_active)
    # In the order in which they are settled: an update takes them as they lie.
    db.session.execute(active.order_by(BUDGETS.c.id).with_for_update(key_share=True))
    db.session.execute(sa.update(BUDGETS).where(BUDGETS.c.is_active).values(recount_at=utcnow()))


def sweep() -> int:
    """Settle what time has turned: windows that are over, new budgets. How many there were."""
    now = utcnow()
    over = sa.and_(Budget.state != BudgetState.OK, Budget.window_end <= now)
    due = sa.select(Budget.id).where(Budget.is_active, sa.or_(over, Budget.recount_at <= now))
    with reading():
        budget_ids = list(db.session.scalars(due.order_by(Budget.id)))
    for budget_id in budget_ids:
        recount(budget_id)
    return len(budget_ids)


def read_spending(budget_id: int, window: Window) -> Spending:
    """What was spent of a budget in a window."""
    return read_spendings({budget_id: window})[budget_id]


def read_spendings(windows: Mapping[int, Window]) -> dict[int, Spending]:
    """What was spent of budgets (by their ids) in a window each, in one query."""
    keys = [(budget_id, window.key) for budget_id, window in windows.items()]
    key = sa.tuple_(SPENDS.c.budget_id, SPENDS.c.window_start)
    query = sa.select(SPENDS.c.budget_id, *(SPENDS.c[name] for name in SUMMED)).where(key.in_(keys))
    found = {budget_id: Spending(window) for budget_id, window in windows.items()}
    for budget_id, nanos, attos, calls, unpriced in db.session.execute(query) if keys else ():
        spent = join_money(nanos, attos)
        found[budget_id] = Spending(windows[budget_id], spent, calls, unpriced)
    return found


def target_names(budgets: Collection[Budget]) -> dict[Target, str]:
    """The agents' slugs and the providers' names; what has been deleted is missing."""
    names: dict[Target, str] = {}
    for scope, key, name in (
        (BudgetScope.AGENT, Agent.id, Agent.agent_id),
        (BudgetScope.PROVIDER, Provider.id, Provider.name),
    ):
        ids = {it.target_id for it in budgets if it.scope is scope}
        found = db.session.execute(sa.select(key, name).where(key.in_(ids))) if ids else ()
        names |= {(scope, target_id): text for target_id, text in found}
    return names


def target_of(budget: Budget) -> Target:
    """Whom it is for."""
    return budget.scope, budget.target_id or 0


def tell_target(target: Target) -> None:
    """Give what a budget is for the worst of the states that its budgets have.

    Locked first, so that of two budgets that turn at once the second sees the first.
    """
    blocked = _lock_target(target)
    if blocked is None:
        return
    scope, target_id = target
    states = sa.select(Budget.state).where(Budget.is_active, Budget.scope == scope)
    if scope is not BudgetScope.ALL:
        states = states.where(Budget.target_id == target_id)
    worst = BudgetState.worst(*db.session.scalars(states))
    if blocked.budget_state != worst:
        blocked.budget_state = worst


def _settle_turned(limits: Iterable[Limit]) -> None:
    """Settle those whose spending means another state than it did."""
    now = utcnow()
    by_id = {limit.id: limit for limit in limits}
    spendings = read_spendings({id_: limit.window(now) for id_, limit in by_id.items()})
    turned = [
        id_ for id_, limit in by_id.items() if limit.judge(spendings[id_].spent) != limit.state
    ]
    _settle(turned, now)


def _settle(budget_ids: Collection[int], now: datetime) -> None:
    """Bring the states of these budgets, and of what they are for, to where spending stands."""
    targets = set()
    for budget_id in sorted(budget_ids):
        budget = db.session.get(Budget, budget_id, with_for_update=True, populate_existing=True)
        if budget is not None and budget.is_active:
            _settle_one(budget, now)
            targets.add(target_of(budget))
    flush()
    for target in sorted(targets):
        tell_target(target)


def _settle_one(budget: Budget, now: datetime) -> None:
    window = window_at(budget.period, budget.timezone, now)
    spending = read_spending(budget.id, window)
    state = judge(spending.spent, budget.warn_at, budget.block_at)
    before, budget.state, budget.window_end = budget.state, state, window.end
    if state == before:
        return
    if state is BudgetState.BLOCKED and budget.blocked_for != window.start:
        budget.blocked_for = budget.warned_for = window.start
        _alert(EventType.BUDGET_BLOCKED, budget, spending)
    elif state is BudgetState.WARN and budget.warned_for != window.start:
        budget.warned_for = window.start
        _alert(EventType.BUDGET_WARN, budget, spending)
    elif before == BudgetState.BLOCKED:
        _alert(EventType.BUDGET_OK, budget, spending)


def _alert(event: EventType, budget: Budget, spending: Spending) -> None:
    limit = budget.block_at if event is EventType.BUDGET_BLOCKED else budget.warn_at
    name = target_names([budget]).get(target_of(budget))
    amount = f"{show_money(spending.spent)}{f' of {show_money(limit)}' if limit else ''}"
    stands = f"{STANDS[event]}: {amount} {budget.currency} this {budget.period.value}"
    announce(
        event,
        {
            "message": f"The budget {budget.name} {stands}.",
            "budget": budget.name,
            "budget_id": budget.id,
            "scope": budget.scope.value,
            "agent_id": name if budget.scope is BudgetScope.AGENT else None,
            "provider": name if budget.scope is BudgetScope.PROVIDER else None,
            "state": budget.state,
            "period": budget.period.value,
            "timezone": budget.timezone,
            "window_start": spending.window.start.isoformat(),
            "window_end": spending.window.end.isoformat(),
            "spent": show_money(spending.spent),
            "limit": show_money(limit),
            "currency": budget.currency,
            "unpriced_calls": spending.unpriced_calls,
        },
    )


def _lock_target(target: Target) -> Agent | Provider | GlobalHalt | None:
    scope, target_id = target
    if scope is BudgetScope.ALL:
        return get_red_button(for_update=True)
    model: type[Agent] | type[Provider] = Agent if scope is BudgetScope.AGENT else Provider
    found = db.session.get(model, target_id, with_for_update=True, populate_existing=True)
    return cast(Agent | Provider | None, found)


def _sum_up(budget: Budget, window: Window) -> dict[str, int]:
    """What was spent in a window, from the sums of all usage."""
    total = [0] * len(SUMMED)
    for filters in _filters_of(budget):
        selection = Selection(period=Period(window.start, window.end), filters=filters)
        for values in read_sums(Question(selection=selection), SUMMED).values():
            total = list(map(add, total, values))
    return dict(zip(SUMMED, total, strict=True))


def _filters_of(budget: Budget) -> Iterable[dict[str, str]]:
    if budget.scope is BudgetScope.ALL:
        yield {}
    elif budget.scope is BudgetScope.AGENT:
        if agent := db.session.get(Agent, budget.target_id):
            yield {"agent_id": agent.agent_id}
    else:
        for name in provider_names(budget.target_id or 0):
            yield {"provider": name}
