"""Bringing a budget back to what it was."""

from decimal import Decimal
from typing import Any

from app.core.db import find_row
from app.core.errors import Conflict, Forbidden
from app.core.versions import check_version
from app.transfer.restorers.base import Wish, past_of
from app.usage import budgets
from app.usage.budget_counting import target_names, target_of
from app.usage.budget_models import Budget, BudgetPeriod, BudgetScope


def restore_budget(wish: Wish) -> tuple[Any, list[str]]:
    """The budget as it was, under a new id where it was deleted. What was spent stays as it is.

    Raises Forbidden for whoever may not keep budgets, Conflict where it is for nobody any more.
    """
    if not wish.may_give_away:
        raise Forbidden("Budgets are restored by admins.")
    row = find_row(Budget, wish.entity_id, for_update=True)
    past = past_of(wish, row)
    data = _data_of(past.image)
    if row is not None and not past.ended:
        check_version(row.version, wish.expected_version)
        budgets.change_budget(row, data)
        return row, []
    was = Budget(scope=BudgetScope(past.image["scope"]), target_id=past.image.get("target_id"))
    name = target_names([was]).get(target_of(was))
    if name is None and was.scope is not BudgetScope.ALL:
        raise Conflict(f"The {was.scope} that it was for is deleted: restore it first.")
    return budgets.add_budget({**data, "scope": was.scope, "agent_id": name, "provider": name}), []


def _data_of(image: dict[str, Any]) -> dict[str, Any]:
    money = {name: image.get(name) for name in ("warn_at", "block_at")}
    return {
        "name": image["name"],
        "period": BudgetPeriod(image["period"]),
        "timezone": image["timezone"],
        "is_active": image["is_active"],
        **{name: None if it is None else Decimal(it) for name, it in money.items()},
    }
