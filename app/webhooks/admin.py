"""Admin: webhooks, what was delivered to them, and the one page that shows a new secret."""

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro
from wtforms import BooleanField

from app.accounts.gate import Permission
from app.admin.base import ResourceView, expose, load
from app.admin.fields import ChecksField, KeyField, LineField, ResourceForm, choices
from app.core.rest import paged
from app.webhooks import services
from app.webhooks.models import EventType, Webhook
from app.webhooks.schemas import WebhookIn, WebhookPatch
from app.webhooks.urls import ENTER_WHOLE, shown_url

SHOWN_DELIVERIES = 30
EVENTS = {
    EventType.PROVIDER_DOWN: "provider.down, a provider's check fails",
    EventType.PROVIDER_UP: "provider.up, it is well again",
    EventType.PROVIDER_FLAPPING: "provider.flapping, it turns too often to tell each time",
    EventType.BUDGET_WARN: "budget.warn, spending reaches a warning threshold",
    EventType.BUDGET_BLOCKED: "budget.blocked, it reaches a blocking one",
    EventType.BUDGET_OK: "budget.ok, it blocks no more",
    EventType.AGENT_HALTED: "agent.halted, the red button is pressed",
    EventType.AGENT_RESUMED: "agent.resumed, it is let go of",
}


class WebhookForm(ResourceForm):
    """A webhook as it is entered."""

    name = LineField("Name", required=True)
    url = LineField("URL", required=True, render_kw={"inputmode": "url", "spellcheck": "false"})
    secret = KeyField("Secret")
    hide_path = BooleanField("Hide the path as well")
    events = ChecksField("Events", choices=choices(EVENTS.items()))
    is_active = BooleanField("Active", default=True)

    def process(self, *args: Any, **kwargs: Any) -> None:
        """Take aside the URL that was entered: no page repeats it, not even to complain."""
        super().process(*args, **kwargs)
        self.whole_url = self.url.data
        self.url.data = self.url.data and shown_url(self.url.data, self.hide_path.data)

    def payload(self) -> dict[str, Any]:
        plain = ("name", "hide_path", "events", "is_active")
        fields = {"url": self.whole_url} | {name: self[name].data for name in plain}
        return fields | ({"secret": self.secret.data} if self.secret.data else {})


class WebhookView(ResourceView):
    """Webhooks: list, form, details with the delivery log."""

    needs = Permission.INSPECT
    needs_to_write = Permission.ADMINISTER
    needed_by = {  # noqa: RUF012
        "create_view": Permission.ADMINISTER,
        "edit_view": Permission.ADMINISTER,
    }
    noun = "Webhook"
    icon = "webhook"
    live_every = 5
    form = WebhookForm
    update_schema = WebhookPatch
    list_template = "switchyard/webhooks.html"
    details_template = "switchyard/webhook.html"
    create_template = edit_template = "switchyard/webhook_form.html"
    column_list = ("name", "url", "events", "latest", "updated_at")
    column_details_list = ("name", "url", "events")
    column_export_list = ("name", "url", "events", "is_active", "updated_at")
    column_labels = {  # noqa: RUF012
        "url": "URL",
        "latest": "Latest delivery",
        "updated_at": "Changed",
    }
    column_sortable_list = ("name", "updated_at")
    column_formatters = {name: macro(f"{name}_cell") for name in column_list}  # noqa: RUF012
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def list_query(self, args: dict[str, Any]) -> Any:
        return services.list_query(args)

    def find(self, row_id: int) -> Webhook:
        return services.get_webhook(row_id)

    def update(self, row: Webhook, data: dict[str, Any], version: int) -> tuple[Webhook, list[str]]:
        return services.update_webhook(row.id, data, version), []

    def delete(self, row: Webhook, version: int) -> None:
        services.delete_webhook(row.id, version)

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> ResponseReturnValue:
        """The empty form; once it is sent, the one page that shows a secret that was made."""
        form = self.create_form()
        made: list[str | None] = []

        def save() -> tuple[Webhook, list[str]]:
            webhook, secret = services.create_webhook(load(WebhookIn, form))
            made.append(secret)
            return webhook, []

        if request.method == "POST" and (webhook := self._attempt(form, save, "made")):
            return str(self.render("switchyard/webhook_made.html", model=webhook, secret=made[0]))
        return self._form_page(self.create_template, form)

    def _form_page(self, template: str, form: Any, row: Any = None) -> str:
        if form.whole_url != form.url.data:  # sent once more as it is shown, it changes nothing
            form.url.errors = [*form.url.errors, ENTER_WHOLE]
        return super()._form_page(template, form, row)

    def _refuse_broken_way_back(self) -> None:
        if not self._has_its_own_url():
            super()._refuse_broken_way_back()

    def _return_url(self) -> str:
        if self._has_its_own_url():
            return str(self.get_url(".index_view"))
        return super()._return_url()

    def _has_its_own_url(self) -> bool:
        """Whether what has the name of the way back is the form's own field."""
        forms = (f"{self.endpoint}.create_view", f"{self.endpoint}.edit_view")
        return request.endpoint in forms and "url" not in request.args

    @expose("/test/", methods=("POST",))
    def test_view(self) -> ResponseReturnValue:
        """Send it a test now; its page shows what comes of it."""
        return self.act(
            lambda webhook: services.request_test(webhook.id), "A test is on its way to {name}."
        )

    def render(self, template: str, **kwargs: Any) -> str:
        """The list shows each one's latest delivery, its page the latest of all."""
        if template == self.list_template:
            kwargs["latest"] = services.find_latest([row.id for row in kwargs["data"]])
        elif template == self.details_template:
            query = services.deliveries_query(kwargs["model"].id, {})
            page = {"page": 1, "page_size": SHOWN_DELIVERIES}
            kwargs["deliveries"], kwargs["delivery_count"] = paged(query, page)
        return str(super().render(template, **kwargs))
