"""Admin: what checks add to the providers' pages."""

from collections.abc import Sequence
from typing import Any

from flask import flash, redirect
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from app.admin.base import Permission, expose
from app.admin.charts import Point, line_chart
from app.admin.gate import may
from app.core.rest import paged
from app.health import results, services, summary
from app.health.models import ProviderCheck
from app.providers.admin import ProviderView

SHOWN_CHECKS = 20
DRAWN_CHECKS = 100
NAMED = 5


class CheckedProviderView(ProviderView):
    """Providers with a Validate button and the history of their checks."""

    needed_by = {  # noqa: RUF012
        **ProviderView.needed_by,
        "validate_view": Permission.OPERATE,
        "validate_many_view": Permission.OPERATE,
    }

    @property
    def selects(self) -> bool:
        """Rows are ticked to be validated together."""
        return may(Permission.OPERATE)

    @expose("/validate/", methods=("POST",))
    def validate_view(self) -> ResponseReturnValue:
        """Ask for a check now; the badge follows it."""
        return self.act(
            lambda provider: services.request_check(provider.id), "{name} is being checked."
        )

    @expose("/validate-many/", methods=("POST",))
    def validate_many_view(self) -> ResponseReturnValue:
        """The same for every ticked provider."""
        chosen = self.chosen()
        for provider in chosen:
            services.request_check(provider.id)
        names = ", ".join(provider.name for provider in chosen[:NAMED])
        rest = f" and {len(chosen) - NAMED} more" if len(chosen) > NAMED else ""
        flash(f"Being checked: {names}{rest}." if chosen else "No provider is ticked.", "success")
        return redirect(self._return_url())

    def render(self, template: str, **kwargs: Any) -> str:
        """The details show the latest checks."""
        if template == self.details_template:
            query = results.checks_query(kwargs["model"].id)
            checks, _ = paged(query, {"page": 1, "page_size": DRAWN_CHECKS})
            kwargs["checks"] = checks[:SHOWN_CHECKS]
            kwargs["health"] = summary.summarise(kwargs["model"])
            kwargs["chart"] = draw_latency(checks)
        return super().render(template, **kwargs)


def draw_latency(checks: Sequence[ProviderCheck]) -> Markup | None:
    """The latency of these checks, which come newest first; None where one alone is no line."""
    if len(checks) < 2:
        return None
    oldest_first = checks[::-1]
    points = [
        Point(
            check.latency_ms,
            f"{check.started_at:%Y-%m-%d %H:%M} UTC: {check.latency_ms} ms, {check.status.value}",
            check.status.value,
        )
        for check in oldest_first
    ]
    oldest, newest = (f"{check.started_at:%m-%d %H:%M}" for check in (checks[-1], checks[0]))
    name = f"Latency of the latest {len(points)} checks"
    return line_chart(points, name, "ms", (oldest, f"{newest} UTC"))
