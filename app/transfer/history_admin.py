"""Admin: the history as far as a person may see it, and the way back to what was."""

from typing import Any

from flask import flash, g, redirect, request
from flask.typing import ResponseReturnValue

from app.accounts.gate import Permission
from app.admin.base import expose, row_id
from app.admin.gate import may
from app.changes.admin import HistoryView
from app.changes.models import Operation
from app.transfer.history import visible_history
from app.transfer.history_names import find_names
from app.transfer.restore import can_restore, restore, rev_before


class RestorableHistoryView(HistoryView):
    """The history with a Restore button on each change that can be gone back to."""

    # What a viewer may not see is left out of theirs.
    needs = Permission.READ

    def list_query(self, args: dict[str, Any]) -> Any:
        return visible_history(self.filters(), visible_to=g.caller.visible_to)

    @expose("/restore/", methods=("POST",))
    def restore_view(self) -> ResponseReturnValue:
        """Bring one entity back to what it was right after a change, or before its deletion."""
        rev, entity_id = row_id(request.form.get("rev")), row_id(request.form.get("entity_id"))
        entity = request.form.get("entity", "")
        deleted = request.form.get("operation") == Operation.DELETE
        try:
            restored = restore(
                rev_before(rev) if deleted else rev,
                entity,
                entity_id,
                may_give_away=may(Permission.ADMINISTER),
            )
        except Exception as error:
            self.handle_view_exception(error)
        else:
            as_it_was = "It was like that already" if restored.rev is None else "Restored"
            flash(f"{as_it_was}: {restored.entity.replace('_', ' ')} {restored.root}.", "success")
            for text in restored.warnings:
                flash(text, "warning")
        return redirect(self._return_url())

    def render(self, template: str, **kwargs: Any) -> str:
        """A change of what no restorer knows has no button; what it points at has a name."""
        kwargs["names"] = find_names(kwargs.get("data", ()), people=may(Permission.INSPECT))
        return super().render(template, can_restore=can_restore, **kwargs)
