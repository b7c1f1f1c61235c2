"""The verbs of budgets."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from app.agents.models import Agent
from app.core.clock import utcnow
from app.core.db import commit, db, find_row, flush
from app.core.errors import Invalid, NotFound
from app.core.versions import check_version
from app.providers.models import BudgetState, Provider
from app.usage import budget_counting
from app.usage.budget_counting import Spending, recount, target_of, tell_target
from app.usage.budget_models import Budget, BudgetPeriod, BudgetScope
from app.usage.budget_windows import window_at

CHANGEABLE = ("name", "period", "timezone", "warn_at", "block_at", "is_active")
"""Whom a budget is for is not among them."""


def get_budget(budget_id: int, *, for_update: bool = False) -> Budget:
    """The budget with this id. Raises NotFound."""
    budget = find_row(Budget, budget_id, for_update=for_update)
    if budget is None:
        raise NotFound("There is no such budget.")
    return budget


def list_query(args: dict[str, Any]) -> sa.Select[Any]:
    """Budgets by name, filtered by scope, state and a part of the name."""
    query = sa.select(Budget).order_by(Budget.name, Budget.id)
    for name in ("scope", "state"):
        if args.get(name):
            query = query.where(getattr(Budget, name) == args[name])
    if args.get("search"):
        query = query.where(Budget.name.icontains(args["search"], autoescape=True))
    return query


def read_spendings(budgets: Collection[Budget]) -> dict[int, Spending]:
    """What was spent of each budget in its window of now."""
    now = utcnow()
    windows = {b.id: window_at(b.period, b.timezone, now) for b in budgets}
    return budget_counting.read_spendings(windows)


def create_budget(data: dict[str, Any]) -> Budget:
    """Store a budget; what was spent in its window before counts. Raises Invalid, Conflict."""
    budget = add_budget(data)
    commit()
    recount(budget.id)
    return budget


def add_budget(data: dict[str, Any]) -> Budget:
    """The same within a larger transaction: flushed, not committed; the sweep counts for it."""
    scope = BudgetScope(data["scope"])
    budget = Budget(
        name=data["name"],
        scope=scope,
        target_id=_find_target(scope, data),
        period=BudgetPeriod(data["period"]),
        timezone=data.get("timezone") or "UTC",
        warn_at=data.get("warn_at"),
        block_at=data.get("block_at"),
        is_active=data.get("is_active", True),
        state=BudgetState.OK,
        recount_at=utcnow(),
    )
    _check_limits(budget)
    db.session.add(budget)
    flush()
    return budget


def update_budget(
    budget_id: int, data: dict[str, Any], expected_version: int | None = None
) -> Budget:
    """Change the sent fields; the state follows at once. Raises NotFound, Stale, Invalid."""
    budget = get_budget(budget_id, for_update=True)
    check_version(budget.version, expected_version)
    change_budget(budget, data)
    commit()
    recount(budget_id)
    return budget


def change_budget(budget: Budget, data: dict[str, Any]) -> None:
    """The same within a larger transaction: flushed, not committed; the sweep counts for it."""
    sent = {name: data[name] for name in CHANGEABLE if name in data}
    changed = {name: value for name, value in sent.items() if getattr(budget, name) != value}
    for name, value in changed.items():
        setattr(budget, name, value)
    _check_limits(budget)
    if changed:
        budget.recount_at = utcnow()
    if not budget.is_active:
        budget.state = BudgetState.OK
        tell_target(target_of(budget))
    flush()


def delete_budget(budget_id: int, expected_version: int | None = None) -> None:
    """Remove a budget and what was counted for it. Raises NotFound, Stale."""
    budget_counting.lock_spending(budget_id)
    budget = get_budget(budget_id, for_update=True)
    check_version(budget.version, expected_version)
    remove_budget(budget)
    commit()


def remove_budget(budget: Budget) -> None:
    """The same within a larger transaction: flushed, not committed."""
    target = target_of(budget)
    db.session.delete(budget)
    flush()
    tell_target(target)


def _find_target(scope: BudgetScope, data: dict[str, Any]) -> int | None:
    if scope is BudgetScope.ALL:
        return None
    agents = sa.select(Agent.id).where(Agent.agent_id == data.get("agent_id"))
    providers = sa.select(Provider.id).where(Provider.name == data.get("provider"))
    of_agent = scope is BudgetScope.AGENT
    name = "agent_id" if of_agent else "provider"
    found = db.session.scalar(agents if of_agent else providers)
    if found is None:
        raise Invalid.field(name, f"There is no such {scope}.")
    return found


def _check_limits(budget: Budget) -> None:
    warn_at, block_at = budget.warn_at, budget.block_at
    if warn_at is None and block_at is None:
        raise Invalid.field("block_at", "Without warn_at and block_at it would do nothing.")
    if warn_at is not None and block_at is not None and warn_at > block_at:
        raise Invalid.field("warn_at", "More than block_at: it would come too late.")
