"""Which active budgets a call counts for, kept in memory as long as no configuration changes."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa

from app.agents.models import Agent
from app.changes.services import peek_state, read_state
from app.changes.state_cache import StateCache, cache_of_app
from app.core.db import db
from app.providers.adapters import get_adapter, list_types
from app.providers.models import BudgetState, Provider
from app.usage.budget_models import Budget, BudgetPeriod, BudgetScope
from app.usage.budget_windows import Window, judge, window_at


@dataclass(frozen=True)
class Limit:
    """An active budget."""

    id: int
    period: BudgetPeriod
    timezone: str
    warn_at: Decimal | None
    block_at: Decimal | None
    state: str
    """As it stood when the book was read."""

    def window(self, moment: datetime) -> Window:
        """The window that a call of this moment counts for."""
        return window_at(self.period, self.timezone, moment)

    def judge(self, spent: Decimal) -> BudgetState:
        """What spending so much means."""
        return judge(spent, self.warn_at, self.block_at)


@dataclass(frozen=True)
class BudgetBook:
    """The active budgets by whom they are for."""

    of_agents: dict[str, list[Limit]] = field(default_factory=lambda: defaultdict(list))
    of_providers: dict[str, list[Limit]] = field(default_factory=lambda: defaultdict(list))
    """By every name that an event may give."""
    of_all: list[Limit] = field(default_factory=list)

    def find(self, agent_id: str, provider: str) -> Iterable[Limit]:
        """The budgets that a call counts for."""
        yield from self.of_all
        yield from self.of_agents.get(agent_id, ())
        yield from self.of_providers.get(provider, ())

    def __bool__(self) -> bool:
        return bool(self.of_all or self.of_agents or self.of_providers)


def budget_book() -> BudgetBook:
    """The book of now."""
    cache: StateCache[BudgetBook] = cache_of_app("budget book", 1)
    book = cache.get(peek_state(), "book")
    if book is None:
        state = read_state()  # before the rows: what is newer than it says is found out next time
        book = _load()
        cache.put(state, "book", book)
    return book


def provider_names(provider_id: int) -> list[str]:
    """What events call this provider: by its name, or by its type if it is the type's usual one."""
    names = [name for name, known_id in _ids_by_name().items() if known_id == provider_id]
    return sorted(names)


def _load() -> BudgetBook:
    book = BudgetBook()
    budgets = list(db.session.scalars(sa.select(Budget).where(Budget.is_active)))
    agents = {b.target_id for b in budgets if b.scope is BudgetScope.AGENT}
    slugs = sa.select(Agent.id, Agent.agent_id).where(Agent.id.in_(agents))
    slug_of = dict(db.session.execute(slugs).tuples().all()) if agents else {}
    ids_by_name = _ids_by_name() if any(b.scope is BudgetScope.PROVIDER for b in budgets) else {}
    for budget in budgets:
        limit = _limit_of(budget)
        if budget.scope is BudgetScope.ALL:
            book.of_all.append(limit)
        elif budget.scope is BudgetScope.AGENT and budget.target_id in slug_of:
            book.of_agents[slug_of[budget.target_id]].append(limit)
        elif budget.scope is BudgetScope.PROVIDER:
            for name, provider_id in ids_by_name.items():
                if provider_id == budget.target_id:
                    book.of_providers[name].append(limit)
    return book


def _limit_of(budget: Budget) -> Limit:
    return Limit(
        id=budget.id,
        period=budget.period,
        timezone=budget.timezone,
        warn_at=budget.warn_at,
        block_at=budget.block_at,
        state=budget.state,
    )


def _ids_by_name() -> dict[str, int]:
    """Providers by name; a type that is nobody's name is its first active provider."""
    query = sa.select(Provider.name, Provider.id, Provider.type, Provider.is_active)
    rows = db.session.execute(query.order_by(Provider.id)).tuples().all()
    ids = {name: provider_id for name, provider_id, _type, _active in rows}
    first: dict[str, int] = {}
    for _name, provider_id, kind, active in rows:
        if active:
            first.setdefault(kind, provider_id)
    for kind in list_types():
        usual = ids.get(kind, first.get(kind))
        if usual is not None:
            for alias in (kind, *get_adapter(kind).aliases):
                ids.setdefault(alias, usual)
    return ids


def moment_of(quarter: int) -> datetime:
    """A call's quarter of an hour as a moment: no window begins within one."""
    return datetime.fromtimestamp(quarter, UTC)
