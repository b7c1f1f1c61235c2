"""Admin: the price table. Rows are added and ended; what has been charged by one stays to read."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro
from wtforms import BooleanField, FieldList, Form, FormField

from app.accounts.gate import Permission
from app.admin.base import ResourceView, expose
from app.admin.fields import LineField, MomentField, MoneyField, ResourceForm, WholeField
from app.core.clock import utcnow
from app.prices import services
from app.prices.models import AMOUNTS, Price
from app.prices.rates import PER_1M
from app.prices.schemas import MAX_THRESHOLD, MAX_TIERS, PriceIn, PricePatch, dump_tiers

TEXTS = ("provider", "model", "service_tier", "note")
EXCEPTIONS = ("force", "supersede")
LABELS = {
    "input_per_1m": "Input",
    "cached_input_per_1m": "Cached input",
    "cache_write_per_1m": "Cache write",
    "cache_write_1h_per_1m": "Cache write, 1 h",
    "output_per_1m": "Output",
    "reasoning_per_1m": "Reasoning",
    "per_request": "Each request",
    "web_search_per_1k": "1,000 web searches",
}
CHARGED = "Calls since then keep what they were charged until somebody corrects their costs."
A_MOMENT = timedelta(minutes=1)
"""A row that begins now began a moment ago when it is stored."""
MINUTE = {"second": 0, "microsecond": 0}


def _money(name: str, rest: str = "") -> MoneyField:
    return MoneyField(LABELS[name] + rest)


class TierForm(Form):
    """What a call costs whose input is long."""

    above = WholeField("Above, input tokens", low=1, high=MAX_THRESHOLD)
    input_per_1m = _money("input_per_1m", ", then")
    cached_input_per_1m = _money("cached_input_per_1m", ", then")
    output_per_1m = _money("output_per_1m", ", then")

    def payload(self) -> dict[str, Any]:
        """What was entered; nothing at all is no tier."""
        return {field.name.rpartition("-")[2]: field.data for field in self if field.data}


class PriceForm(ResourceForm):
    """When a row ends and what is noted: all that may change."""

    valid_until = MomentField("Ends (UTC)")
    note = LineField("Note", render_kw={"maxlength": 500})

    def payload(self) -> dict[str, Any]:
        return {"valid_until": self.valid_until.moment, "note": self.note.data}


class NewPriceForm(PriceForm):
    """A row as it is entered."""

    provider = LineField("Provider", required=True, render_kw={"list": "known-providers"})
    model = LineField("Model", required=True, render_kw={"spellcheck": "false"})
    service_tier = LineField("Service tier")
    valid_from = MomentField("Begins (UTC)")
    input_per_1m = _money("input_per_1m")
    cached_input_per_1m = _money("cached_input_per_1m")
    cache_write_per_1m = _money("cache_write_per_1m")
    cache_write_1h_per_1m = _money("cache_write_1h_per_1m")
    output_per_1m = _money("output_per_1m")
    reasoning_per_1m = _money("reasoning_per_1m")
    per_request = _money("per_request")
    web_search_per_1k = _money("web_search_per_1k")
    tiers = FieldList(FormField(TierForm), min_entries=MAX_TIERS, max_entries=MAX_TIERS)
    force = BooleanField("Force: keep amounts that look as if they were meant for another unit")
    supersede = BooleanField("Supersede: correct the row that begins at the same moment")

    def payload(self) -> dict[str, Any]:
        texts = {name: self[name].data for name in (*TEXTS, *AMOUNTS) if self[name].data}
        ends = {name: self[name].moment for name in ("valid_from", "valid_until")}
        exceptions = {name: self[name].data for name in EXCEPTIONS}
        tiers = [tier for entry in self.tiers if (tier := entry.form.payload())]
        moments = {name: moment for name, moment in ends.items() if moment}
        return {**texts, **moments, **exceptions, "tiers": tiers}


class PriceView(ResourceView):
    """Prices: list by provider and model, form, and an end for each."""

    needs = Permission.INSPECT
    needs_to_write = Permission.ADMINISTER
    needed_by = {  # noqa: RUF012
        "create_view": Permission.ADMINISTER,
        "edit_view": Permission.ADMINISTER,
    }
    noun = "Price"
    icon = "price"
    form = PriceForm
    create_schema = PriceIn
    update_schema = PricePatch
    can_view_details = False
    list_template = "switchyard/prices.html"
    create_template = "switchyard/price_form.html"
    edit_template = "switchyard/price_end_form.html"
    column_list = (
        *("model", "provider", "input_per_1m", "cached_input_per_1m", "output_per_1m", "others"),
        *("valid_from", "note"),
    )
    column_export_list = (
        *("provider", "model", "service_tier", "valid_from", "valid_until", "currency"),
        *(*AMOUNTS, "tiers", "note"),
    )
    column_labels = LABELS | {
        "cached_input_per_1m": "Cached",
        "others": "Other rates",
        "valid_from": "In force",
    }
    column_sortable_list = ("model", "valid_from")
    column_formatters = {name: macro(f"{name}_cell") for name in column_list}  # noqa: RUF012
    column_formatters_export = {  # noqa: RUF012
        "provider": lambda _view, _context, row, _name: _provider_of(row),
    }

    def list_query(self, args: dict[str, Any]) -> Any:
        at = utcnow() if request.args.get("in_force") == "1" else None
        return services.list_query(args | {"at": at})

    def find(self, row_id: int) -> Price:
        return services.get_price(row_id)

    def create(self, data: dict[str, Any]) -> tuple[Price, list[str]]:
        row = services.create_price(data | {"tiers": dump_tiers(data.get("tiers", []))})
        return row, [CHARGED] if row.valid_from < utcnow() - A_MOMENT else []

    def update(self, row: Price, data: dict[str, Any], version: int) -> tuple[Price, list[str]]:
        if _to_the_minute(row.valid_until) == data.get("valid_until"):
            data.pop("valid_until", None)  # as it was shown, for a form knows no seconds
        return services.update_price(row.id, data, version), []

    def delete(self, row: Price, version: int) -> None:
        services.delete_price(row.id, version)

    def create_form(self, obj: Any = None) -> NewPriceForm:
        """Filled with what a link of the Costs page knows: what is unpriced, and since when."""
        if request.method == "POST":
            return NewPriceForm(request.form)
        given = {name: request.args.get(name, "")[:256] for name in ("provider", "model")}
        return NewPriceForm(data={**given, "valid_from": _moment(request.args.get("since", ""))})

    @expose("/end/", methods=("POST",))
    def end_view(self) -> ResponseReturnValue:
        """Let a row hold no more from this moment on."""
        version = ResourceForm(request.form).version.data
        return self.act(
            lambda row: services.end_price(row.id, version), "The price of {name} has ended."
        )

    def render(self, template: str, **kwargs: Any) -> str:
        """The list says who is meant and what holds now; the form offers who there is."""
        if template == self.list_template:
            kwargs |= {
                "provider_names": services.provider_names(kwargs["data"]),
                "is_in_force": services.is_in_force,
                "now": utcnow(),
                "labels": LABELS,
            }
        elif template == self.create_template:
            kwargs["known_providers"] = services.list_known_providers()
        else:
            kwargs |= {"amounts": LABELS, "per_1m": set(PER_1M.values())}
        return str(super().render(template, **kwargs))


def _provider_of(row: Price) -> str:
    """Whom a row is about: one provider by its name, or all of a type."""
    return services.provider_names([row]).get(row.provider_id or 0, row.provider_type)


def _to_the_minute(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(**MINUTE)  # type: ignore[arg-type]


def _moment(text: str) -> datetime | None:
    """A moment of a link as a form shows it; nonsense is nothing."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
