"""Admin: clients, who runs which rev and how. Read only: they come and go by themselves."""

from typing import Any

from flask import abort, request
from flask_admin.model.template import macro

from app.admin.base import Permission, ResourceView
from app.changes.services import read_state
from app.push import clients
from app.push.models import Client

FLAGS = {"1": True, "0": False}


class ClientView(ResourceView):
    """Everything that has said hello on a socket within 30 days."""

    # It names every token and agent, and a viewer sees only some.
    needs = Permission.INSPECT
    noun = "Client"
    icon = "clients"
    read_only = True
    can_view_details = False
    live_every = 3  # who comes and goes raises no rev
    list_template = "switchyard/clients.html"
    column_list = ("client_id", "connected", "behind", "sdk", "owner", "process", "last_seen_at")
    column_export_list = ("client_id", "connected", "applied_rev", "behind", "sdk", "process")
    column_sortable_list = ("client_id", "sdk", "last_seen_at")
    column_labels = {  # noqa: RUF012  Flask-Admin assigns it to the instance
        "client_id": "Client",
        "connected": "State",
        "behind": "Runs",
        "sdk": "Library",
        "owner": "Comes as",
        "process": "Served by",
        "last_seen_at": "Last seen",
    }
    column_formatters = {name: macro(f"{name}_cell") for name in column_list}  # noqa: RUF012
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def list_query(self, args: dict[str, Any]) -> Any:
        flags = {name: FLAGS.get(request.args.get(name, "")) for name in ("connected", "behind")}
        agent_id = request.args.get("agent_id", "").replace("\x00", "")[:64] or None
        return clients.list_query(args | flags | {"agent_id": agent_id})

    def find(self, row_id: int) -> Client:
        abort(404)  # a client has no page of its own

    def render(self, template: str, **kwargs: Any) -> str:
        """The rev that all of them should run."""
        return str(super().render(template, rev=read_state().rev, **kwargs))
