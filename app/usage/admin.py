"""Admin: costs, for who pays and for who looks for the dear one, and the calls behind each sum."""

from typing import Any

from flask import g, request
from flask.typing import ResponseReturnValue
from flask_admin import BaseView
from markupsafe import Markup

from app.admin.base import MAX_PAGE, expose
from app.admin.charts import Bar, bar_chart, column_chart
from app.admin.gate import Gate
from app.admin.money import dollars
from app.core.errors import Invalid
from app.usage.costs import PRESETS, Ask, Report, read_ask, read_report, share_of
from app.usage.event_fields import ERROR, OK
from app.usage.event_pages import list_events
from app.usage.listing import Selection
from app.usage.measures import show_money
from app.usage.periods import zone_names
from app.usage.reach import Sight
from app.usage.sums import DAILY, GROUPS

DRAWN = 12
"""Bars of the pivot's chart."""
CALLS_A_PAGE = 50
STATUSES = (OK, ERROR)
EMPTY: dict[str, str] = {}


class CostsView(Gate, BaseView):
    """What was spent, by whatever one likes; a viewer sees what their own agents spent."""

    icon = "cost"

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """The pivot, its chart, every day of the period, and what has no price."""
        ask = None
        try:
            ask = self._read_ask()
            report = read_report(ask)
        except Invalid as error:
            return self._refused("switchyard/costs.html", error, ask)
        return self._page(
            "switchyard/costs.html",
            ask,
            report=report,
            columns=[GROUPS.get(name, DAILY) for name in ask.group_by],
            share_of=share_of,
            day_chart=_draw_days(report),
            chart=_draw_rows(ask, report),
        )

    @expose("/calls/")
    def calls(self) -> ResponseReturnValue:
        """The calls themselves, newest first, each with its cost and the rates applied."""
        try:
            ask = self._read_ask()
        except Invalid as error:
            return self._refused("switchyard/calls.html", error)
        status = request.args.get("status", "")
        of_status = {"status": status} if status in STATUSES else EMPTY
        selection = Selection(ask.period, {**ask.filters, **of_status}, ask.sight)
        page = _page_number()
        events, total = list_events(selection, page, CALLS_A_PAGE)
        return self._page(
            "switchyard/calls.html",
            ask,
            events=events,
            total=total,
            page=page,
            pages=-(-total // CALLS_A_PAGE),
            status=of_status.get("status", ""),
            show_money=show_money,
        )

    def _read_ask(self) -> Ask:
        return read_ask(request.args, request.args.getlist("group_by"), Sight.of(g.caller))

    def _page(self, template: str, ask: Ask, **kwargs: Any) -> str:
        return str(
            self.render(
                template,
                ask=ask,
                presets=PRESETS,
                zones=zone_names(),
                group_names=(*GROUPS, DAILY),
                **kwargs,
            )
        )

    def _refused(
        self, template: str, error: Invalid, ask: Ask | None = None
    ) -> ResponseReturnValue:
        """What is wrong with this question, under it or, where it cannot be read, the usual one."""
        ask = ask or read_ask(EMPTY, (), Sight.of(g.caller))
        return self._page(template, ask, problem=error.message), error.status


def _draw_days(report: Report) -> Markup:
    bars = [Bar(day["day"], float(day["cost"]), dollars(day["cost"])) for day in report.days]
    return column_chart(bars, "Cost of each day", lambda value: f"${value:,g}")


def _draw_rows(ask: Ask, report: Report) -> Markup | None:
    """The dearest rows; days are drawn by themselves."""
    if DAILY in ask.group_by or not report.rows:
        return None
    names = [GROUPS[name] for name in ask.group_by]
    bars = [
        Bar(
            " · ".join(row[name] or "none" for name in names),
            float(row["cost"]),
            _shown(row),
        )
        for row in report.rows[:DRAWN]
    ]
    return bar_chart(bars, f"Cost by {' and '.join(ask.group_by)}, the dearest first")


def _shown(row: dict[str, Any]) -> str:
    """A row's cost; where nothing of it has a price, that."""
    return "unpriced" if row["unpriced_calls"] == row["calls"] else dollars(row["cost"])


def _page_number() -> int:
    text = request.args.get("page", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    return min(max(number, 1), MAX_PAGE)
