"""REST: who runs which rev (row U2)."""

from typing import Any

from app.accounts.gate import Permission, requires
from app.core.rest import Blueprint, paged
from app.push import clients
from app.push.schemas import ClientArgs, ClientList

blueprint = Blueprint("clients", __name__, description="Who runs which rev")


@blueprint.route("/clients")
@requires(Permission.SURVEY)
@blueprint.arguments(ClientArgs, location="query")
@blueprint.response(200, ClientList)
def list_clients(args: dict[str, Any]) -> dict[str, Any]:
    """List the clients that have said hello on a socket, by their `client_id`."""
    found, total = paged(clients.list_query(args), args)
    return {"clients": found, "total": total}
