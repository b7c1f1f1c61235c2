"""The one gate before every admin page: who is it, may they, and what went wrong in words.

Flask-Admin leaves roles to each view, and several of its own routes check nothing. Here whatever is
not a read needs the permission to write, unless a view says otherwise by name.
"""

import logging
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlsplit

from flask import abort, flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user
from sqlalchemy.exc import DataError, IntegrityError

from app.accounts.gate import SAFE_METHODS, Caller, Permission, caller_of_user
from app.core.actor import set_actor
from app.core.db import db
from app.core.errors import Conflict, Invalid, SwitchyardError
from app.core.trouble import AWAY, unavailable

log = logging.getLogger(__name__)


def signed_in() -> Caller | None:
    """The person behind the session. A token opens the API, never these pages."""
    if not current_user.is_authenticated:
        return None
    if "caller" not in g:
        g.caller = caller_of_user(current_user._get_current_object())
        set_actor(g.caller.actor)
    caller: Caller = g.caller
    return caller


def may(permission: Permission) -> bool:
    """Whether the person may; templates ask it before they show a button."""
    caller = signed_in()
    return caller is not None and caller.may(permission)


def in_words(error: Exception) -> SwitchyardError | None:
    """The error as one that may be shown, or None. A driver's own text may hold SQL and keys."""
    if isinstance(error, SwitchyardError):
        return error
    if isinstance(error, IntegrityError):
        return Conflict("It clashes with what is stored.")
    if isinstance(error, DataError):
        return Invalid({}, "A value cannot be stored.")
    if isinstance(error, AWAY):
        return unavailable(error, "nothing was saved")
    return None


class Gate:
    """Mixed into every admin view, before Flask-Admin's own class."""

    icon: ClassVar[str] = "dot"
    """The symbol of icons.svg that stands for the page in the menu."""
    menu_endpoint: ClassVar[str] = ""
    """The page whose link in the menu stands for this one as well."""
    needs: ClassVar[Permission] = Permission.READ
    """What the page asks of whoever looks at it."""
    needs_to_write: ClassVar[Permission] = Permission.WRITE
    """What it asks of whoever changes something."""
    needed_by: ClassVar[dict[str, Permission]] = {}
    """View functions that ask for something else: reads for more, writes for less."""

    def is_accessible(self) -> bool:
        """Whether the page stands in this person's menu."""
        return may(self.needs)

    def _handle_view(self, name: str, **kwargs: Any) -> ResponseReturnValue | None:
        caller = signed_in()
        if caller is None:
            wanted = request.full_path if request.method == "GET" else None
            return redirect(url_for("security.login", next=wanted))
        reads = request.method in SAFE_METHODS
        needed = self.needed_by.get(name, self.needs if reads else self.needs_to_write)
        if not caller.may(needed):
            abort(403, f"This needs the permission to {needed.value}.")
        self._refuse_broken_way_back()
        return None

    def _refuse_broken_way_back(self) -> None:
        """Flask-Admin asks whether ``url`` leads off the host in many places, and each time it
        would raise."""
        try:
            urlsplit(request.values.get("url", ""))
        except ValueError:
            abort(400, "The address to go back to is none.")

    def _run_view(self, view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Flask-Admin's own runs the view a second time after any TypeError in it.
        try:
            return view(self, *args, **kwargs)
        except Exception as error:
            known = in_words(error)
            if known is None:
                raise
            db.session.rollback()
            abort(known.status, known.message)

    def handle_view_exception(self, error: Exception) -> bool:
        """Say what went wrong without SQL, parameters or keys; the log has the rest."""
        db.session.rollback()
        known = in_words(error)
        if known is None:
            log.error("admin: %s", type(error).__name__, exc_info=error)
            flash(f"Something went wrong; the log has it as {g.request_id}.", "error")
        else:
            flash(known.message, "error")
        return True
