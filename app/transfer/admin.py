"""Admin: the whole configuration out as one file, and in again after a look at what it changes."""

from typing import Any

from flask import Blueprint, flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import Admin, BaseView
from flask_security import current_user
from werkzeug.datastructures import FileStorage

from app.accounts.gate import Permission
from app.admin.base import expose
from app.admin.gate import Gate
from app.core.errors import BadRequest, Invalid, SwitchyardError
from app.transfer import document
from app.transfer.importing import MAX_BYTES, Report, import_document

ROOM = 64 * 1024
"""For the rest of the form beside the document."""


class TransferView(Gate, BaseView):
    """Export for who reads everything; import for admins, a dry run first and then just that."""

    icon = "transfer"
    needs = Permission.INSPECT
    needs_to_write = Permission.ADMINISTER

    def create_blueprint(self, admin: Admin) -> Blueprint:
        """The form is parsed before any view is reached, so its size is allowed before that."""
        blueprint: Blueprint = super().create_blueprint(admin)
        blueprint.url_value_preprocessor(_allow_large_documents)
        return blueprint

    @expose("/")
    def index(self) -> str:
        """Both forms."""
        return self._page()

    @expose("/preview/", methods=("POST",))
    def preview_view(self) -> str:
        """What the document would change, and a button to apply exactly that."""
        try:
            text, is_json = _read_upload()
            return self._page(text=text, is_json=is_json, report=_run(text, is_json, dry_run=True))
        except SwitchyardError as error:
            # Not with what was pasted: it may have been refused for a key that is in it.
            return self._page(faults=_faults(error))

    @expose("/apply/", methods=("POST",))
    def apply_view(self) -> ResponseReturnValue:
        """Apply it; refused where the difference is another by now than the one that was shown."""
        text = request.form.get("document", "").replace("\r\n", "\n")
        is_json = request.form.get("is_json") == "1"
        try:
            expected = request.form.get("expected", "")
            report = _run(text, is_json, dry_run=False, expected=expected)
        except SwitchyardError as error:
            return self._page(faults=_faults(error))
        counts = ", ".join(f"{number} {name}" for name, number in report.counts().items())
        flash(f"Imported: {counts}.", "success")
        for warning in report.warnings:
            flash(warning, "warning")
        return redirect(self.get_url(".index"))

    def _page(self, **shown: Any) -> str:
        prune = request.form.get("prune") == "1"
        return str(self.render("switchyard/transfer.html", prune=prune, **shown))


def _run(text: str, is_json: bool, *, dry_run: bool, expected: str | None = None) -> Report:
    raw = document.read(text.encode(), is_json=is_json)
    prune = request.form.get("prune") == "1"
    return import_document(raw, dry_run=dry_run, prune=prune, expected=expected)


def _read_upload() -> tuple[str, bool]:
    """The chosen file, else what was pasted; and whether it is JSON."""
    file: FileStorage | None = request.files.get("file")
    if file is None or not file.filename:
        text = request.form.get("document", "").replace("\r\n", "\n")
        if not text.strip():
            raise BadRequest("Choose a file or paste a document.")
        return text, text.lstrip().startswith("{")
    body = file.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise BadRequest(f"The file is larger than {MAX_BYTES // 2**20} MiB.")
    try:
        return body.decode("utf-8-sig"), file.filename.endswith(".json")
    except UnicodeDecodeError:
        raise BadRequest("The file is not UTF-8 text.") from None


def _faults(error: SwitchyardError) -> list[tuple[str, str]]:
    """What is wrong, each with the place in the document."""
    if isinstance(error, Invalid) and error.errors:
        return [(path, " ".join(texts)) for path, texts in error.errors.items()]
    return [("", error.message)]


def _allow_large_documents(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    if request.method == "POST" and current_user.is_authenticated:
        request.max_content_length = MAX_BYTES + ROOM
        request.max_form_memory_size = MAX_BYTES + ROOM
