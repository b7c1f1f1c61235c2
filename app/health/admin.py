"""Admin: what checks add to the providers' pages."""

from typing import Any

from flask.typing import ResponseReturnValue

from app.admin.base import Permission, expose
from app.core.rest import paged
from app.health import services
from app.providers.admin import ProviderView

SHOWN_CHECKS = 20


class CheckedProviderView(ProviderView):
    """Providers with a Validate button and the history of their checks."""

    needed_by = {**ProviderView.needed_by, "validate_view": Permission.OPERATE}  # noqa: RUF012

    @expose("/validate/", methods=("POST",))
    def validate_view(self) -> ResponseReturnValue:
        """Ask for a check now; the badge follows it."""
        return self.act(
            lambda provider: services.request_check(provider.id), "{name} is being checked."
        )

    def render(self, template: str, **kwargs: Any) -> str:
        """The details show the latest checks."""
        if template == self.details_template:
            query = services.checks_query(kwargs["model"].id)
            kwargs["checks"], _ = paged(query, {"page": 1, "page_size": SHOWN_CHECKS})
        return super().render(template, **kwargs)
