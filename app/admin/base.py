"""What every resource's admin view is: lists, forms and deletes that go through its services.

A view names what may be seen (``column_list``, ``column_details_list``, ``column_export_list``,
its form class) and which service does what; a form's data passes the same schemas as a REST body.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from flask import abort, flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.helpers import get_redirect_target
from flask_admin.model import BaseModelView
from flask_admin.model.base import ViewArgs
from marshmallow import ValidationError
from wtforms import Form
from wtforms.form import BaseForm

from app.accounts.gate import Permission
from app.admin.fields import ResourceForm, differences, show_errors
from app.admin.gate import Gate, may
from app.core.db import db
from app.core.errors import Invalid, NotFound, Stale
from app.core.rest import MAX_ID, Schema, paged
from app.core.spreadsheets import inert

__all__ = ["MAX_PAGE", "Permission", "ResourceView", "expose"]

MAX_PAGE = 1_000_000
REFUSED = "Not saved: see the fields marked below."

Row = TypeVar("Row")


class ResourceView(Gate, BaseModelView):
    """A resource's pages. Subclasses set the attributes and the verbs below."""

    form: ClassVar[type[ResourceForm]] = ResourceForm
    create_schema: ClassVar[type[Schema]]
    update_schema: ClassVar[type[Schema]]
    noun: ClassVar[str]
    read_only: ClassVar[bool] = False
    live: ClassVar[str] = "any"
    """Whose changes renew the list while it is open: agent, provider, task, or any."""
    live_every: ClassVar[int] = 0
    """Seconds after which it is renewed in any case; 0 = never, for nothing else changes it."""
    deleted: ClassVar[str] = ""
    """What is said after a delete, with {name}; empty = that the row is deleted."""

    needed_by: ClassVar = {"create_view": Permission.WRITE, "edit_view": Permission.WRITE}
    can_view_details = True
    can_export = True
    can_set_page_size = True
    page_size = 50
    page_size_options = (20, 50, 100)
    export_max_rows = 10_000
    list_template = "switchyard/list.html"
    details_template = "switchyard/details.html"
    create_template = edit_template = "switchyard/form.html"

    # The domain's verbs
    def list_query(self, args: dict[str, Any]) -> Any:
        """The rows that this person may see, narrowed by ``args["search"]``."""
        raise NotImplementedError

    def find(self, row_id: int) -> Any:
        """One of them. Raises NotFound."""
        raise NotImplementedError

    def create(self, data: dict[str, Any]) -> tuple[Any, list[str]]:
        """Store a new one. Returns it with warnings."""
        raise NotImplementedError

    def update(self, row: Any, data: dict[str, Any], version: int) -> tuple[Any, list[str]]:
        """Change one. Returns it with warnings. Raises Stale."""
        raise NotImplementedError

    def delete(self, row: Any, version: int) -> None:
        """Remove one. Raises Stale."""
        raise NotImplementedError

    def _handle_view(self, name: str, **kwargs: Any) -> ResponseReturnValue | None:
        if self.read_only and name in {"create_view", "edit_view", "delete_view"}:
            abort(404)
        return super()._handle_view(name, **kwargs)

    def name_of(self, row: Any) -> str:
        """What people call it."""
        return str(row.root_name)

    def version_of(self, row: Any) -> int:
        """What a save of it is checked against."""
        return int(row.version)

    @property
    def can_create(self) -> bool:
        """Buttons stand only where they would work."""
        return not self.read_only and may(self.needs_to_write)

    can_edit = can_delete = can_create

    @property
    def selects(self) -> bool:
        """Whether rows can be ticked, for what list.html's ``selection_actions`` offer."""
        return False

    # Reading
    def get_list(
        self,
        page: int | None,
        sort_column: Any,
        sort_desc: bool,
        search: str | None,
        filters: Any,
        execute: bool = True,
        page_size: int | None = None,
    ) -> tuple[int, list[Any]]:
        """One page of rows, and how many there are in all."""
        query = self.list_query({"search": (search or "").replace("\x00", "")})
        if sort_column is not None and self.is_sortable(sort_column):
            column = getattr(self.model, sort_column)
            order = column.desc() if sort_desc else column.asc()
            query = query.order_by(None).order_by(order, self.model.id)
        size = page_size or self.page_size
        rows, total = paged(query, {"page": (page or 0) + 1, "page_size": size})
        return total, rows

    def get_one(self, id: Any) -> Any:  # noqa: A002  Flask-Admin's name for it
        """The row; 404 where there is none or none that the person may see."""
        return self.find(row_id(id))

    def get_pk_value(self, model: Any) -> Any:
        return model.id

    def get_export_value(self, model: Any, name: Any) -> Any:
        """A cell that a spreadsheet will not take for a formula."""
        return inert(str(super().get_export_value(model, name)))

    def _get_list_extra_args(self) -> ViewArgs:
        args = super()._get_list_extra_args()
        args.page = min(max(args.page, 0), MAX_PAGE - 1)
        return args

    # Writing
    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> ResponseReturnValue:
        """The empty form, and what becomes of it."""
        form = self.create_form()
        if request.method == "POST" and self.create_model(form):
            return redirect(self._return_url())
        return self._form_page(self.create_template, form)

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> ResponseReturnValue:
        """A row's form, and what becomes of it."""
        row = self.get_one(request.args.get("id"))
        form = self.edit_form(row)
        if request.method == "POST" and self.update_model(form, row):
            return redirect(self._return_url())
        return self._form_page(self.edit_template, form, row)

    @expose("/delete/", methods=("POST",))
    def delete_view(self) -> ResponseReturnValue:
        """Only ever a POST, which a dialog asks about first."""
        row = self.get_one(request.form.get("id"))
        self.delete_model(row)
        return redirect(self._return_url())

    def create_form(self, obj: Any = None) -> Any:
        return self.form(_posted())

    def edit_form(self, obj: Any = None) -> Any:
        # A posted form is not filled up from the row: what somebody else changed meanwhile would
        # slip in, and with it the version that tells so.
        return self.form(_posted(), obj=obj if _posted() is None else None)

    def create_model(self, form: Any) -> Any:
        """Store what the form says; None, with the reasons in the form, where it is refused."""
        return self._attempt(form, lambda: self.create(load(self.create_schema, form)), "created")

    def update_model(self, form: Any, model: Any) -> Any:
        """The same for a row that exists; somebody else's newer save is shown, not overwritten."""

        def save() -> tuple[Any, list[str]]:
            return self.update(model, load(self.update_schema, form), form.version.data)

        try:
            return self._attempt(form, save, "saved")
        except Stale:
            db.session.rollback()
            form.conflict = differences(form, self.form(obj=self.get_one(model.id)))
            return None

    def delete_model(self, model: Any) -> bool:
        """Remove the row; what speaks against it is flashed."""
        name = self.name_of(model)
        try:
            self.delete(model, ResourceForm(_posted()).version.data)
        except Exception as error:
            return not self.handle_view_exception(error)
        said = self.deleted or f"{self.noun} {{name}} is deleted."
        flash(said.format(name=name), "success")
        return True

    def chosen(self) -> list[Any]:
        """The ticked rows, those that are still there and may be seen."""
        found = []
        for text in dict.fromkeys(request.form.getlist("ids")[: max(self.page_size_options)]):
            try:
                found.append(self.find(row_id(text)))
            except NotFound:
                continue  # deleted since the page was shown
        return found

    def act(self, verb: Callable[[Any], object], message: str) -> ResponseReturnValue:
        """Do something with the posted row, say so, and go back to the list."""
        row = self.get_one(request.form.get("id"))
        name = self.name_of(row)
        try:
            verb(row)
        except Exception as error:
            self.handle_view_exception(error)
        else:
            flash(message.format(name=name), "success")
        return redirect(self._return_url())

    def _attempt(self, form: Any, save: Callable[[], tuple[Row, list[str]]], done: str) -> Any:
        if not form.validate():
            flash(REFUSED, "error")
            return None
        try:
            row, warnings = save()
        except (Stale, NotFound):
            raise
        except (ValidationError, Invalid) as error:
            db.session.rollback()
            errors = error.errors if isinstance(error, Invalid) else error.normalized_messages()
            for text in [REFUSED, *show_errors(form, errors)]:
                flash(text, "error")
            return None
        except Exception as error:
            self.handle_view_exception(error)
            return None
        flash(f"{self.noun} {self.name_of(row)} is {done}.", "success")
        for text in warnings:
            flash(text, "warning")
        return row

    def _form_page(self, template: str, form: Form, row: Any = None) -> str:
        return str(self.render(template, form=form, model=row, return_url=self._return_url()))

    def _return_url(self) -> str:
        return get_redirect_target() or self.get_url(".index_view")

    # Flask-Admin's questions about columns and forms, which the attributes above answer
    def scaffold_list_columns(self) -> list[str]:
        raise NotImplementedError("column_list is an allow-list: write it down")

    def scaffold_sortable_columns(self) -> dict[str, Any]:
        return {}

    def scaffold_form(self) -> type[BaseForm]:
        return self.form

    def scaffold_list_form(self, *_args: Any, **_kwargs: Any) -> type[BaseForm]:
        return ResourceForm  # nothing is edited in a list

    def init_search(self) -> bool:
        return True


def load(schema: type[Schema], form: Any) -> dict[str, Any]:
    """The form's data through a REST schema. Raises ValidationError."""
    data: dict[str, Any] = schema().load(form.payload())
    return data


def row_id(text: Any) -> int:
    """An id as it came in a URL or a form; 404 for anything that no row can have."""
    text = str(text or "")
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID))):
        abort(404)
    return min(int(text), MAX_ID)


def _posted() -> Any:
    return request.form if request.method == "POST" else None
