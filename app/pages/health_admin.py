"""Admin: health and jobs, the page to open when nothing seems to happen."""

from flask import current_app
from flask_admin import BaseView

from app.accounts.gate import Permission
from app.admin.base import expose
from app.admin.charts import bar_chart
from app.admin.gate import Gate
from app.pages import health, jobs, overview


class HealthView(Gate, BaseView):
    """Workers, queue, schedule; providers by state, their last checks, their latency."""

    icon = "health"
    needs = Permission.INSPECT

    @expose("/")
    def index(self) -> str:
        """The page, which renews itself every few seconds."""
        bars = health.latency_bars()
        return str(
            self.render(
                "switchyard/health.html",
                jobs=jobs.read_jobs(),
                schedules=jobs.list_schedules(),
                counts=overview.count_providers(),
                providers=health.list_worst_first(),
                shown=health.SHOWN,
                bars=bars,
                chart=bar_chart(bars, "Latency of the last check, the slowest provider first"),
                interval=current_app.config["HEALTH_CHECK_INTERVAL"],
            )
        )
