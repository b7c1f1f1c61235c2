"""Admin: the history. Read only: what is written here was true once."""

from typing import Any

from flask import abort, request
from flask_admin.model.template import macro

from app.admin.base import Permission, ResourceView
from app.changes import services
from app.changes.models import Change, Operation


class HistoryView(ResourceView):
    """Who changed what, under which rev."""

    # It shows every agent's prompts, and a viewer sees only some agents.
    needs = Permission.OPERATE
    noun = "Change"
    icon = "history"
    read_only = True
    can_view_details = False
    list_template = "switchyard/history.html"
    column_list = ("rev", "at", "actor", "entity", "operation", "diff")
    column_export_list = ("rev", "at", "actor", "entity", "root", "operation", "diff")
    column_sortable_list = ()
    column_labels = {  # noqa: RUF012  Flask-Admin assigns it to the instance
        "at": "When",
        "actor": "Who",
        "entity": "What",
        "root": "Of",
        "operation": "How",
        "diff": "Changes",
    }
    column_formatters = {  # noqa: RUF012
        "at": macro("when_cell"),
        "actor": macro("actor_cell"),
        "entity": macro("entity_cell"),
        "operation": macro("operation_cell"),
        "diff": macro("diff_cell"),
    }
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def filters(self) -> dict[str, Any]:
        """What the form above the list asks for."""
        wanted: dict[str, Any] = {
            name: _argument(name) for name in ("entity", "root", "actor") if _argument(name)
        }
        operation = _argument("operation")
        if operation in list(Operation):
            wanted["operation"] = Operation(operation)
        return wanted

    def list_query(self, args: dict[str, Any]) -> Any:
        return services.history_query(**self.filters())

    def find(self, row_id: int) -> Change:
        abort(404)  # a change has no page of its own

    def get_pk_value(self, model: Any) -> str:
        return f"{model.rev}-{model.seq}"

    def init_search(self) -> bool:
        return False  # its filters are the form above the list

    def render(self, template: str, **kwargs: Any) -> str:
        """The filters offer what there is."""
        kwargs["entities"] = services.list_entities()
        kwargs["operations"] = [operation.value for operation in Operation]
        return str(super().render(template, **kwargs))


def _argument(name: str) -> str | None:
    return request.args.get(name, "").replace("\x00", "").strip()[:256] or None
