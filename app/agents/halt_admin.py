"""Admin: the red button, in the header of every page and on a page of its own."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from flask import flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import BaseView
from flask_admin.form import BaseForm
from flask_admin.helpers import get_redirect_target
from marshmallow import ValidationError

from app.accounts.gate import Permission
from app.admin.base import expose, load
from app.admin.fields import LineField, show_errors
from app.admin.gate import Gate
from app.agents import halt
from app.agents.models import Agent, GlobalHalt
from app.agents.schemas import HaltIn


class HaltForm(BaseForm):
    """Why the button is pressed."""

    reason = LineField("Reason", render_kw={"maxlength": 500, "autocomplete": "off"})

    def payload(self) -> dict[str, Any]:
        """The body of A14's POST."""
        return {"reason": self.reason.data}


class HaltState(NamedTuple):
    """What the header shows."""

    button: GlobalHalt
    agents: int
    """How many are halted one by one, of those that the person may see."""
    here: str
    """The page that shows it, to come back to."""


def halt_state() -> HaltState:
    """The state of both kinds of halt, read once a request."""
    if "halt_state" not in g:
        halted = halt.count_halted(g.caller.visible_to)
        g.halt_state = HaltState(halt.get_red_button(), halted, _here())
    state: HaltState = g.halt_state
    return state


class HaltView(Gate, BaseView):
    """The button for all. Where scripts run, a dialog over any page does what this page does."""

    needed_by: ClassVar = {"index": Permission.OPERATE, "resume_view": Permission.ADMINISTER}

    def is_visible(self) -> bool:
        return False  # it stands in the header, not in the menu

    @expose("/", methods=("GET", "POST"))
    def index(self) -> ResponseReturnValue:
        """Ask for the reason, and halt every agent."""
        return ask_and_halt(self, halt.get_red_button(), "all agents", halt.halt_all)

    @expose("/resume/", methods=("POST",))
    def resume_view(self) -> ResponseReturnValue:
        """Let go of the button for all."""
        halt.resume_all()
        flash("All agents may go on, but for those halted one by one.", "success")
        return redirect(_way_back())


def ask_and_halt(
    view: BaseView, it: Agent | GlobalHalt, name: str, press: Callable[[str | None], object]
) -> ResponseReturnValue:
    """Ask why ``it`` is halted; once that is posted, halt it and go back to where it was asked."""
    form = HaltForm(request.form if request.method == "POST" else None)
    if request.method == "POST" and (data := _read(form)) is not None:
        press(data["reason"])
        flash(f"Halted: {name}.", "success")
        return redirect(_way_back())
    return view.render("switchyard/halt.html", form=form, it=it, name=name, return_url=_way_back())


def _read(form: HaltForm) -> dict[str, Any] | None:
    """The form as REST would take it; None, with the reasons in the form, where it would not."""
    if not form.validate():
        return None
    try:
        return load(HaltIn, form)
    except ValidationError as error:
        show_errors(form, error.normalized_messages())
        return None


def _here() -> str:
    """Where this page is, without the way back that it was given: a form would carry that on."""
    if request.method != "GET":
        return ""  # what a refused form leads to has no address of its own
    query = urlencode({name: text for name, text in request.args.items() if name != "url"})
    return f"{request.path}?{query}" if query else request.path


def _way_back() -> str:
    return get_redirect_target() or url_for("admin.index")
