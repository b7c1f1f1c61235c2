"""Admin: costs that were charged by a price that was wrong or missing, looked at and corrected."""

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask_admin import BaseView

from app.accounts.gate import Permission
from app.admin.base import expose
from app.admin.gate import Gate
from app.core.errors import Invalid
from app.usage import reprice_steps
from app.usage.costs import read_ask
from app.usage.measures import show_money
from app.usage.periods import zone_names
from app.usage.reach import Sight
from app.usage.reprice_steps import Walk
from app.usage.sums import GROUPS


class RepriceView(Gate, BaseView):
    """What `flask usage reprice` does: a dry run first, and then the same in earnest."""

    menu_endpoint = "costs"
    needs = needs_to_write = Permission.ADMINISTER

    def is_visible(self) -> bool:
        return False  # the pages about money lead here

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """The form, filled with what a link knows: the period and filters of a page of costs."""
        try:
            return self._page(ask=read_ask(request.args, (), Sight()))
        except Invalid as error:
            return self._refused(error)

    @expose("/preview/", methods=("POST",))
    def preview_view(self) -> ResponseReturnValue:
        """What would change, or its first step."""
        try:
            return self._step(reprice_steps.begin(request.form))
        except Invalid as error:
            return self._refused(error)

    @expose("/apply/", methods=("POST",))
    def apply_view(self) -> ResponseReturnValue:
        """The first step of doing it, to the calls that the dry run was over."""
        return self._step(self._walk().again())

    @expose("/next/", methods=("POST",))
    def next_view(self) -> ResponseReturnValue:
        """The next step, which reprice.js asks for as long as there is one."""
        return self._step(self._walk())

    def _walk(self) -> Walk:
        return reprice_steps.take_up(request.form.get("walk", ""))

    def _step(self, walk: Walk) -> str:
        walk.go_on()
        return self._page(ask=walk.ask, walk=walk, it=walk.repricing)

    def _refused(self, error: Invalid) -> ResponseReturnValue:
        filters = {name: request.values.get(name, "") for name in GROUPS.values()}
        return self._page(ask=read_ask(filters, (), Sight()), problem=error.message), error.status

    def _page(self, **shown: Any) -> str:
        zones = zone_names()
        return str(
            self.render("switchyard/reprice.html", zones=zones, show_money=show_money, **shown)
        )
