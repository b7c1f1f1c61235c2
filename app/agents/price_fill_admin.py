"""Admin: the price table, filled from the catalogue after a look at the difference."""

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue

from app.admin.base import Permission, expose
from app.agents.price_fill import Outcome, fill_table
from app.prices.admin import LABELS, PriceView

SAYS = {
    Outcome.ADD: "new",
    Outcome.CHANGE: "otherwise",
    Outcome.SAME: "the same",
    Outcome.NOT_LISTED: "not in the catalogue",
    Outcome.BY_THE_HOUR: "by the hour",
}


class FilledPriceView(PriceView):
    """Prices with the catalogue beside them."""

    needed_by = {**PriceView.needed_by, "fill_view": Permission.ADMINISTER}  # noqa: RUF012

    @expose("/fill/", methods=("GET", "POST"))
    def fill_view(self) -> ResponseReturnValue:
        """The models that agents use, as table and catalogue have them; the ticked are taken."""
        if request.method == "POST":
            return self._take(request.form.getlist("keys"))
        return str(
            self.render(
                "switchyard/prices_fill.html",
                proposals=fill_table(),
                labels=LABELS,
                says=SAYS,
                return_url=self._return_url(),
            )
        )

    def _take(self, keys: list[str]) -> ResponseReturnValue:
        try:
            taken = [it for it in fill_table(keys=keys, dry_run=False) if it.is_news]
        except Exception as error:
            self.handle_view_exception(error)
        else:
            number = f"{len(taken)} price{'' if len(taken) == 1 else 's'}"
            flash(f"{number} taken over, from now on.", "success" if taken else "warning")
        return redirect(self.get_url(".index_view"))
