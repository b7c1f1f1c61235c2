"""REST: the price table (row U1)."""

from typing import Any

from flask import Response, jsonify, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, requires
from app.core.clock import utcnow
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, Deleted, expected_version, paged, with_etag
from app.prices import services
from app.prices.models import Price
from app.prices.schemas import (
    CallArgs,
    EffectiveOut,
    PriceArgs,
    PriceIn,
    PriceList,
    PriceOut,
    PricePatch,
    dump_price,
    dump_tiers,
)

blueprint = Blueprint("prices", __name__, description="What models cost")
ID = f"<int(max={MAX_ID}):price_id>"


@blueprint.route("/prices")
class Prices(MethodView):
    """Row U1."""

    @requires(Permission.SURVEY)
    @blueprint.arguments(PriceArgs, location="query")
    @blueprint.response(200, PriceList)
    def get(self, args: dict[str, Any]) -> Response:
        """List the table by provider and model."""
        rows, total = paged(services.list_query(args), args)
        names = services.provider_names(rows)
        return jsonify({"prices": [_dump(row, names) for row in rows], "total": total})

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(PriceIn)
    @blueprint.response(201, PriceOut)
    @blueprint.alt_response(409, description="A row begins at the same moment")
    def post(self, data: dict[str, Any]) -> Response:
        """Add a price from a moment on; the rows before it stay."""
        data["tiers"] = dump_tiers(data.get("tiers", []))
        row = services.create_price(data)
        response = _price_response(row, 201)
        response.location = url_for("prices.OnePrice", price_id=row.id)
        return response


@blueprint.route(f"/prices/{ID}")
class OnePrice(MethodView):
    """Row U1, one of them."""

    @requires(Permission.SURVEY)
    @blueprint.response(200, PriceOut)
    def get(self, price_id: int) -> Response:
        """Read one row."""
        return _price_response(services.get_price(price_id))

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(PricePatch)
    @blueprint.response(200, PriceOut)
    @blueprint.alt_response(409, description="It has ended already")
    def patch(self, data: dict[str, Any], price_id: int) -> Response:
        """End it from now or later on, or note something; its amounts never change."""
        return _price_response(services.update_price(price_id, data, expected_version()))

    @requires(Permission.ADMINISTER)
    @blueprint.response(200, Deleted)
    @blueprint.alt_response(409, description="It has been in force")
    def delete(self, price_id: int) -> dict[str, Any]:
        """Take a row back that has never been in force."""
        services.delete_price(price_id, expected_version())
        return {"message": "The price is deleted.", "id": price_id}


@blueprint.route("/prices/effective")
@requires(Permission.SURVEY)
@blueprint.arguments(CallArgs, location="query")
@blueprint.response(200, EffectiveOut)
def get_effective_price(args: dict[str, Any]) -> dict[str, Any]:
    """What a call would be charged by, and where that comes from; null = unpriced."""
    at = args["at"] or utcnow()
    tiers = {name: args[name] for name in ("service_tier", "processing")}
    rates = services.find_rates(None, args["provider"], args["model"], at, **tiers)
    return {
        "provider": args["provider"],
        "model": args["model"],
        "at": at,
        "source": rates.source.value if rates else None,
        "rates": rates.as_dict() if rates else None,
    }


def _dump(row: Price, names: dict[int, str]) -> dict[str, Any]:
    return dump_price(row, names.get(row.provider_id or 0), in_force=services.is_in_force(row))


def _price_response(row: Price, status: int = 200) -> Response:
    read_on()
    return with_etag(_dump(row, services.provider_names([row])), row.version, status)
