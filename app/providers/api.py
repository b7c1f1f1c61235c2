"""REST: P1, and the models of P2."""

from typing import Any

from flask import Response, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, current_caller, requires
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, Deleted, expected_version, paged, with_etag
from app.providers import services
from app.providers.models import Provider as ProviderRow
from app.providers.schemas import (
    ModelList,
    ProviderArgs,
    ProviderIn,
    ProviderList,
    ProviderOut,
    ProviderPatch,
    ProviderPut,
    dump_provider,
    dump_saved,
)

blueprint = Blueprint("providers", __name__, description="Endpoints with their credentials")
ID = f"<int(max={MAX_ID}):provider_id>"
NAMED_STEPS = 100  # a warning need not name ten thousand agents


@blueprint.route("/providers")
class Providers(MethodView):
    """Row P1."""

    @requires(Permission.READ)
    @blueprint.arguments(ProviderArgs, location="query")
    @blueprint.response(200, ProviderList)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List providers by name."""
        providers, total = paged(services.list_query(args), args)
        return {"providers": providers, "total": total}

    @requires(Permission.WRITE)
    @blueprint.arguments(ProviderIn)
    @blueprint.response(201, ProviderOut)
    @blueprint.alt_response(409, description="The name is taken")
    def post(self, data: dict[str, Any]) -> Response:
        """Register a provider; its check starts at once."""
        current_caller().require_unbound()
        provider = services.create_provider(data)
        response = _saved_response(provider, 201)
        response.location = url_for("providers.Provider", provider_id=provider.id)
        return response


@blueprint.route(f"/providers/{ID}")
class Provider(MethodView):
    """Row P1, one of them."""

    @requires(Permission.READ)
    @blueprint.response(200, ProviderOut)
    def get(self, provider_id: int) -> Response:
        """Read one provider."""
        provider = services.get_provider(provider_id)
        return with_etag(dump_provider(provider), provider.version)

    @requires(Permission.WRITE)
    @blueprint.arguments(ProviderPatch)
    @blueprint.response(200, ProviderOut)
    def patch(self, data: dict[str, Any], provider_id: int) -> Response:
        """Change the sent fields."""
        current_caller().require_unbound()
        provider = services.update_provider(provider_id, data, expected_version())
        return _saved_response(provider)

    @requires(Permission.WRITE)
    @blueprint.arguments(ProviderPut)
    @blueprint.response(200, ProviderOut)
    def put(self, data: dict[str, Any], provider_id: int) -> Response:
        """The same as PATCH: only the sent fields change."""
        current_caller().require_unbound()
        provider = services.update_provider(provider_id, data, expected_version())
        return _saved_response(provider)

    @requires(Permission.WRITE)
    @blueprint.response(200, Deleted)
    @blueprint.alt_response(409, description="Agents use it; the message names them")
    def delete(self, provider_id: int) -> dict[str, Any]:
        """Remove a provider that no agent uses."""
        current_caller().require_unbound()
        services.delete_provider(provider_id, expected_version())
        return {"message": "The provider is deleted.", "id": provider_id}


@blueprint.route(f"/providers/{ID}/models")
@requires(Permission.READ)
@blueprint.response(200, ModelList)
def list_models(provider_id: int) -> dict[str, Any]:
    """The models that the last good check listed."""
    models = services.get_provider(provider_id).models
    return {"models": models, "total": len(models or [])}


def _saved_response(provider: ProviderRow, status: int = 200) -> Response:
    """The provider as it was saved, and who goes without it from now on."""
    read_on()
    users = [] if provider.is_active else services.used_by(provider, at_most=NAMED_STEPS)
    warnings = [f"It is not active, and is used by: {', '.join(users)}."] if users else []
    return with_etag(dump_saved(provider, warnings), provider.version, status)
