"""REST: budgets (row U1)."""

from collections.abc import Sequence
from typing import Any

from flask import Response, jsonify, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, requires
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, Deleted, expected_version, paged, with_etag
from app.usage import budgets
from app.usage.budget_counting import target_names, target_of
from app.usage.budget_models import Budget
from app.usage.budget_schemas import (
    BudgetArgs,
    BudgetIn,
    BudgetList,
    BudgetOut,
    BudgetPatch,
    dump_budget,
)

blueprint = Blueprint("budgets", __name__, description="What may be spent")
ID = f"<int(max={MAX_ID}):budget_id>"


@blueprint.route("/budgets")
class Budgets(MethodView):
    """Row U1."""

    @requires(Permission.SURVEY)
    @blueprint.arguments(BudgetArgs, location="query")
    @blueprint.response(200, BudgetList)
    def get(self, args: dict[str, Any]) -> Response:
        """List budgets by name, with what was spent in their windows of now."""
        found, total = paged(budgets.list_query(args), args)
        return jsonify({"budgets": _dump_all(found), "total": total})

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(BudgetIn)
    @blueprint.response(201, BudgetOut)
    @blueprint.alt_response(409, description="The name is taken")
    def post(self, data: dict[str, Any]) -> Response:
        """Set a limit; what was spent in its window before counts."""
        budget = budgets.create_budget(data)
        response = _budget_response(budget, 201)
        response.location = url_for("budgets.OneBudget", budget_id=budget.id)
        return response


@blueprint.route(f"/budgets/{ID}")
class OneBudget(MethodView):
    """Row U1, one of them."""

    @requires(Permission.SURVEY)
    @blueprint.response(200, BudgetOut)
    def get(self, budget_id: int) -> Response:
        """Read one budget."""
        return _budget_response(budgets.get_budget(budget_id))

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(BudgetPatch)
    @blueprint.response(200, BudgetOut)
    def patch(self, data: dict[str, Any], budget_id: int) -> Response:
        """Change the sent fields; null clears a limit. The state follows at once."""
        return _budget_response(budgets.update_budget(budget_id, data, expected_version()))

    @requires(Permission.ADMINISTER)
    @blueprint.response(200, Deleted)
    def delete(self, budget_id: int) -> dict[str, Any]:
        """Remove a budget; what it blocked goes on."""
        budgets.delete_budget(budget_id, expected_version())
        return {"message": "The budget is deleted.", "id": budget_id}


def _dump_all(found: Sequence[Budget]) -> list[dict[str, Any]]:
    spendings, names = budgets.read_spendings(found), target_names(found)
    return [dump_budget(it, spendings[it.id], names.get(target_of(it))) for it in found]


def _budget_response(budget: Budget, status: int = 200) -> Response:
    read_on()
    return with_etag(_dump_all([budget])[0], budget.version, status)
