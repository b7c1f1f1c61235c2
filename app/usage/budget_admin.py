"""Admin: budgets, what was spent of each, and whom one blocks."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any, NamedTuple

from flask import request
from flask_admin.model.template import macro
from markupsafe import Markup
from wtforms import BooleanField, SelectField

from app.accounts.gate import Permission
from app.admin.base import ResourceView
from app.admin.charts import gauge
from app.admin.fields import LineField, MoneyField, ResourceForm, choices
from app.agents import services as agents
from app.core.rest import paged
from app.providers import services as providers
from app.providers.models import BudgetState
from app.usage import budgets
from app.usage.budget_counting import Spending, target_names, target_of
from app.usage.budget_models import Budget, BudgetPeriod, BudgetScope
from app.usage.budget_schemas import BudgetIn, BudgetPatch
from app.usage.measures import show_money
from app.usage.periods import zone_names

COMMON = ("name", "period", "timezone", "warn_at", "block_at", "is_active")
SCOPES = {
    BudgetScope.AGENT: "one agent",
    BudgetScope.PROVIDER: "one provider",
    BudgetScope.ALL: "everything",
}
PERIODS = {BudgetPeriod.DAY: "a day", BudgetPeriod.MONTH: "a month"}
OFFERED_AGENTS = {"page": 1, "page_size": 200}
NAMED = 20
"""Agents on a blocked provider that are named."""


class BudgetForm(ResourceForm):
    """A budget that is there: whom it is for does not change."""

    name = LineField("Name", required=True)
    period = SelectField("Window", choices=choices(PERIODS.items()), default=BudgetPeriod.MONTH)
    timezone = LineField("Time zone", render_kw={"list": "zones", "spellcheck": "false"})
    warn_at = MoneyField("Warn at, US dollars")
    block_at = MoneyField("Block at, US dollars")
    is_active = BooleanField("Active", default=True)

    def payload(self) -> dict[str, Any]:
        fields = {name: self[name].data for name in COMMON}
        return fields | {"timezone": self.timezone.data or "UTC"}


class NewBudgetForm(BudgetForm):
    """A budget as it is entered."""

    scope = SelectField("Spending of", choices=choices(SCOPES.items()), default=BudgetScope.AGENT)
    agent_id = LineField("Agent id", render_kw={"list": "agents", "spellcheck": "false"})
    provider = LineField("Provider", render_kw={"list": "providers", "spellcheck": "false"})

    def payload(self) -> dict[str, Any]:
        scope = self.scope.data
        target = {BudgetScope.AGENT: "agent_id", BudgetScope.PROVIDER: "provider"}.get(scope)
        named = {target: self[target].data} if target else {}
        return super().payload() | {"scope": scope} | named


class Standing(NamedTuple):
    """How a budget stands, for its row."""

    spending: Spending
    target: str | None
    """The agent's slug or the provider's name; None = all, or deleted."""
    bar: Markup
    blocked: list[str]
    """The agents on a provider that it blocks, by name."""


class BudgetView(ResourceView):
    """Budgets: list with what was spent in the windows of now, form."""

    needs = Permission.INSPECT
    needs_to_write = Permission.ADMINISTER
    needed_by = {  # noqa: RUF012
        "create_view": Permission.ADMINISTER,
        "edit_view": Permission.ADMINISTER,
    }
    noun = "Budget"
    icon = "budget"
    live_every = 5  # spending raises no rev
    form = BudgetForm
    create_schema = BudgetIn
    update_schema = BudgetPatch
    can_view_details = False
    deleted = "Budget {name} is deleted; what it blocked goes on."
    list_template = "switchyard/budgets.html"
    create_template = edit_template = "switchyard/budget_form.html"
    column_list = ("name", "target", "spent", "state", "window")
    column_export_list = (
        *("name", "scope", "target", "period", "timezone", "currency"),
        *("spent", "warn_at", "block_at", "state", "is_active"),
    )
    column_labels = {"target": "Spending of", "spent": "Spent in this window"}  # noqa: RUF012
    column_sortable_list = ("name", "state")
    column_formatters = {name: macro(f"{name}_cell") for name in column_list}  # noqa: RUF012
    column_formatters_export = {  # noqa: RUF012
        "scope": lambda _view, _context, row, _name: row.scope.value,
        "period": lambda _view, _context, row, _name: row.period.value,
        "target": lambda _view, _context, row, _name: _target_of(row) or "",
        "spent": lambda _view, _context, row, _name: show_money(
            budgets.read_spendings([row])[row.id].spent
        ),
    }

    def list_query(self, args: dict[str, Any]) -> Any:
        state = request.args.get("state", "")
        return budgets.list_query(args | {"state": state if state in set(BudgetState) else None})

    def find(self, row_id: int) -> Budget:
        return budgets.get_budget(row_id)

    def create(self, data: dict[str, Any]) -> tuple[Budget, list[str]]:
        return budgets.create_budget(data), []

    def update(self, row: Budget, data: dict[str, Any], version: int) -> tuple[Budget, list[str]]:
        return budgets.update_budget(row.id, data, version), []

    def delete(self, row: Budget, version: int) -> None:
        budgets.delete_budget(row.id, version)

    def create_form(self, obj: Any = None) -> NewBudgetForm:
        """Filled with the agent that a link names."""
        if request.method == "POST":
            return NewBudgetForm(request.form)
        return NewBudgetForm(data={"agent_id": request.args.get("agent", "")[:64]})

    def render(self, template: str, **kwargs: Any) -> str:
        """The list shows how each stands; the form offers agents, providers and time zones."""
        if template == self.list_template:
            kwargs["standings"] = _standings(kwargs["data"])
        elif template == self.create_template:
            kwargs["zones"] = zone_names()
            kwargs["target"] = _target_of(kwargs["model"])
            if kwargs["model"] is None:
                kwargs["agents"], _ = paged(agents.list_query({}), OFFERED_AGENTS)
                kwargs["providers"] = providers.list_providers()
        return str(super().render(template, **kwargs))


def _standings(rows: Collection[Budget]) -> dict[int, Standing]:
    spendings, names = budgets.read_spendings(rows), target_names(rows)
    standings = {}
    for row in rows:
        spending, target = spendings[row.id], names.get(target_of(row))
        blocked = _find_blocked(row) if target else []
        standings[row.id] = Standing(spending, target, _bar(row, spending.spent), blocked)
    return standings


def _bar(row: Budget, spent: Decimal) -> Markup:
    limit = row.block_at or row.warn_at or Decimal(1)
    mark = row.warn_at / limit if row.warn_at and row.block_at else None
    said = f"{100 * spent / limit:.0f} % of what it {'blocks' if row.block_at else 'warns'} at"
    return gauge(float(spent / limit), said, row.state, None if mark is None else float(mark))


def _find_blocked(row: Budget) -> list[str]:
    """The agents that have a step on a blocked provider."""
    if row.scope is not BudgetScope.PROVIDER or row.state != BudgetState.BLOCKED:
        return []
    return providers.used_by(providers.get_provider(row.target_id or 0), NAMED)


def _target_of(row: Budget | None) -> str | None:
    return target_names([row]).get(target_of(row)) if row is not None else None
