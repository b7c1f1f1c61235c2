"""Budgets in a configuration document: the limits, not what is spent."""

from typing import Any

from marshmallow import fields

from app.core.errors import Invalid
from app.core.rest import Text
from app.transfer.document import Item, ItemSchema
from app.transfer.sections.base import Rows, Section
from app.usage import budgets
from app.usage.budget_counting import target_names, target_of
from app.usage.budget_models import Budget, BudgetScope
from app.usage.budget_schemas import BudgetPatch

FIXED = ("scope", "agent_id", "provider")


class BudgetItem(ItemSchema, BudgetPatch):
    """A budget as it stands in a document; what it is for goes by its name."""

    name = Text(min_length=1, max_length=128, required=True)
    scope = fields.Enum(BudgetScope, by_value=True)
    agent_id = Text(max_length=64, allow_none=True)
    provider = Text(max_length=128, allow_none=True)


class Budgets(Section):
    """Told apart by their name."""

    name = "budgets"
    key = "name"
    model = Budget
    item = BudgetItem
    needed = ("scope", "period")

    def dump_rows(self, rows: Rows) -> list[Item]:
        names = target_names(list(rows.values()))
        return [_dump(row, names.get(target_of(row))) for row in rows.values()]

    def create(self, data: Item) -> list[str]:
        self.check_new(data)
        budgets.add_budget(data)
        return []

    def update(self, row: Any, data: Item) -> list[str]:
        fixed = next((name for name in FIXED if name in data), None)
        if fixed:
            raise Invalid.field(fixed, "Whom a budget is for does not change: give it a new name.")
        budgets.change_budget(row, data)
        return []

    def delete(self, row: Any) -> None:
        budgets.remove_budget(row)


def _dump(row: Budget, target: str | None) -> Item:
    item: Item = BudgetItem(exclude=("agent_id", "provider")).dump(row)
    whose = {
        "agent_id": target if row.scope is BudgetScope.AGENT else None,
        "provider": target if row.scope is BudgetScope.PROVIDER else None,
    }
    ordered = item | whose
    return {name: ordered[name] for name in BudgetItem().fields}
