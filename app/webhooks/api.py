"""REST: webhooks (row U1), their delivery log, and a test of one."""

from typing import Any

from flask import Response, url_for
from flask.views import MethodView

from app.accounts.gate import Permission, requires
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, Deleted, expected_version, paged, with_etag
from app.webhooks import services
from app.webhooks.models import Webhook, WebhookDelivery
from app.webhooks.schemas import (
    DeliveryArgs,
    DeliveryList,
    DeliveryOut,
    NewWebhook,
    WebhookArgs,
    WebhookIn,
    WebhookList,
    WebhookOut,
    WebhookPatch,
    dump_webhook,
)

blueprint = Blueprint("webhooks", __name__, description="Who is told what happens here")
ID = f"<int(max={MAX_ID}):webhook_id>"


@blueprint.route("/webhooks")
class Webhooks(MethodView):
    """Every webhook."""

    @requires(Permission.INSPECT)
    @blueprint.arguments(WebhookArgs, location="query")
    @blueprint.response(200, WebhookList)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List webhooks by name."""
        webhooks, total = paged(services.list_query(args), args)
        return {"webhooks": webhooks, "total": total}

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(WebhookIn)
    @blueprint.response(201, NewWebhook)
    @blueprint.alt_response(409, description="The name is taken")
    def post(self, data: dict[str, Any]) -> Response:
        """Add a webhook. A secret that is made here is shown in this answer only."""
        webhook, made = services.create_webhook(data)
        response = _webhook_response(webhook, made, 201)
        response.location = url_for("webhooks.OneWebhook", webhook_id=webhook.id)
        return response


@blueprint.route(f"/webhooks/{ID}")
class OneWebhook(MethodView):
    """One of them."""

    @requires(Permission.INSPECT)
    @blueprint.response(200, WebhookOut)
    def get(self, webhook_id: int) -> Response:
        """Read one webhook."""
        return _webhook_response(services.get_webhook(webhook_id))

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(WebhookPatch)
    @blueprint.response(200, WebhookOut)
    @blueprint.alt_response(409, description="The name is taken")
    def patch(self, data: dict[str, Any], webhook_id: int) -> Response:
        """Change the sent fields. Made inactive, it gets nothing more of what is pending."""
        return _webhook_response(services.update_webhook(webhook_id, data, expected_version()))

    @requires(Permission.ADMINISTER)
    @blueprint.response(200, Deleted)
    def delete(self, webhook_id: int) -> dict[str, Any]:
        """Remove a webhook and its delivery log."""
        services.delete_webhook(webhook_id, expected_version())
        return {"message": "The webhook is deleted.", "id": webhook_id}


@blueprint.route(f"/webhooks/{ID}/deliveries")
@requires(Permission.INSPECT)
@blueprint.arguments(DeliveryArgs, location="query")
@blueprint.response(200, DeliveryList)
def list_deliveries(args: dict[str, Any], webhook_id: int) -> dict[str, Any]:
    """What was sent and what came of it, newest first."""
    services.get_webhook(webhook_id)
    deliveries, total = paged(services.deliveries_query(webhook_id, args), args)
    return {"deliveries": deliveries, "total": total}


@blueprint.route(f"/webhooks/{ID}/test", methods=["POST"])
@requires(Permission.ADMINISTER)
@blueprint.response(202, DeliveryOut)
@blueprint.alt_response(400, description="The webhook is not active")
def test_webhook(webhook_id: int) -> tuple[WebhookDelivery, int, dict[str, str]]:
    """Send it a `webhook.test`: a worker does, and the delivery log says what came of it."""
    delivery = services.request_test(webhook_id)
    read_on()
    location = url_for("webhooks.list_deliveries", webhook_id=webhook_id)
    return delivery, 202, {"Location": location}


def _webhook_response(webhook: Webhook, made: str | None = None, status: int = 200) -> Response:
    read_on()
    return with_etag(dump_webhook(webhook, made), webhook.version, status)
