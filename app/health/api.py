"""REST: the checks of P2."""

from typing import Any

from flask import Response

from app.accounts.gate import Permission, requires
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, PageArgs, paged, with_etag
from app.health import results, services
from app.health.schemas import CheckList, HealthOut
from app.health.summary import summarise
from app.providers.schemas import ProviderOut, dump_saved
from app.providers.services import get_provider

blueprint = Blueprint("health", __name__, description="Are the providers reachable?")
ID = f"<int(max={MAX_ID}):provider_id>"


@blueprint.route(f"/providers/{ID}/validate", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.response(202, ProviderOut)
def validate_provider(provider_id: int) -> Response:
    """Check it now: a worker does, and the status is pushed when it settles."""
    provider = services.request_check(provider_id)
    read_on()
    return with_etag(dump_saved(provider), provider.version, 202)


@blueprint.route(f"/providers/{ID}/checks")
@requires(Permission.READ)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, CheckList)
def list_checks(args: dict[str, Any], provider_id: int) -> dict[str, Any]:
    """The provider's checks, newest first."""
    get_provider(provider_id)
    checks, total = paged(results.checks_query(provider_id), args)
    return {"checks": checks, "total": total}


@blueprint.route(f"/providers/{ID}/health")
@requires(Permission.READ)
@blueprint.response(200, HealthOut)
def get_health(provider_id: int) -> Any:
    """Uptime and latency of the last day and week, and the last error."""
    return summarise(get_provider(provider_id))
