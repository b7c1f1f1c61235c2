"""The wire shape of budgets; money is decimal strings in US dollars."""

from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.core.rest import Flag, PageArgs, Schema, Text
from app.prices.cost import CURRENCY
from app.prices.fields import Money
from app.providers.models import BudgetState
from app.usage.budget_counting import Spending
from app.usage.budget_models import Budget, BudgetPeriod, BudgetScope
from app.usage.measures import show_money
from app.usage.periods import is_zone

MAX_LIMIT = 1_000_000_000
STATES = [state.value for state in BudgetState]


def _more_than_nothing(amount: Decimal) -> None:
    if not amount:
        raise ValidationError("Must be more than 0. To stop an agent at once, halt it.")


def _known_zone(name: str) -> None:
    if not is_zone(name):
        raise ValidationError("Not a time zone, e.g. UTC or Europe/Berlin.")


class BudgetPatch(Schema):
    """What may change; whom a budget is for does not."""

    name = Text(min_length=1, max_length=128)
    period = fields.Enum(BudgetPeriod, by_value=True)
    timezone = fields.String(
        validate=_known_zone, metadata={"description": "Whose days and months; default UTC."}
    )
    warn_at = Money(high=MAX_LIMIT, allow_none=True, validate=_more_than_nothing)
    block_at = Money(high=MAX_LIMIT, allow_none=True, validate=_more_than_nothing)
    is_active = Flag()


class BudgetIn(BudgetPatch):
    """What creates a budget."""

    name = Text(min_length=1, max_length=128, required=True)
    scope = fields.Enum(BudgetScope, by_value=True, required=True)
    agent_id = Text(max_length=64, allow_none=True)
    provider = Text(max_length=128, allow_none=True, metadata={"description": "Its name."})
    period = fields.Enum(BudgetPeriod, by_value=True, required=True)
    timezone = fields.String(validate=_known_zone, load_default="UTC")
    currency = fields.String(validate=validate.Equal(CURRENCY))

    @validates_schema
    def _check_target(self, data: dict[str, Any], **_kwargs: Any) -> None:
        wanted = {BudgetScope.AGENT: "agent_id", BudgetScope.PROVIDER: "provider"}.get(
            data["scope"]
        )
        for name in ("agent_id", "provider"):
            if name == wanted and data.get(name) is None:
                raise ValidationError("Missing data for required field.", name)
            if name != wanted and data.get(name) is not None:
                raise ValidationError(f"Not with the scope {data['scope']}.", name)


class BudgetOut(Schema):
    """A budget as it is read, with what its window of now has seen."""

    id = fields.Integer()
    name = fields.String()
    scope = fields.String()
    agent_id = fields.String(allow_none=True)
    provider = fields.String(allow_none=True)
    period = fields.String()
    timezone = fields.String()
    currency = fields.String()
    warn_at = fields.String(allow_none=True)
    block_at = fields.String(allow_none=True)
    is_active = fields.Boolean()
    state = fields.String(validate=validate.OneOf(STATES))
    spent = fields.String()
    calls = fields.Integer()
    unpriced_calls = fields.Integer(
        metadata={"description": "Calls whose cost is unknown: they are not in spent."}
    )
    window_start = fields.AwareDateTime()
    window_end = fields.AwareDateTime()
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class BudgetList(Schema):
    """A page of budgets."""

    budgets = fields.List(fields.Nested(BudgetOut))
    total = fields.Integer()


class BudgetArgs(PageArgs):
    """Filters of the list."""

    scope = fields.Enum(BudgetScope, by_value=True, load_default=None)
    state = fields.String(validate=validate.OneOf(STATES), load_default=None)


def dump_budget(budget: Budget, spending: Spending, target: str | None) -> dict[str, Any]:
    """A budget as it is read; ``target`` is the agent's slug or the provider's name."""
    return {
        "id": budget.id,
        "name": budget.name,
        "scope": budget.scope.value,
        "agent_id": target if budget.scope is BudgetScope.AGENT else None,
        "provider": target if budget.scope is BudgetScope.PROVIDER else None,
        "period": budget.period.value,
        "timezone": budget.timezone,
        "currency": budget.currency,
        "warn_at": show_money(budget.warn_at),
        "block_at": show_money(budget.block_at),
        "is_active": budget.is_active,
        "state": budget.state,
        "spent": show_money(spending.spent),
        "calls": spending.calls,
        "unpriced_calls": spending.unpriced_calls,
        "window_start": spending.window.start.isoformat(),
        "window_end": spending.window.end.isoformat(),
        "version": budget.version,
        "created_at": budget.created_at.isoformat(),
        "updated_at": budget.updated_at.isoformat(),
    }
