"""Admin: the overview, the first page that a person sees."""

from flask import g
from flask_admin import AdminIndexView, expose

from app.accounts.gate import Permission
from app.admin.gate import Gate, may
from app.changes.services import list_latest
from app.pages import overview

LATEST = 10


class OverviewView(Gate, AdminIndexView):
    """Providers by state, agents, what needs attention, the last changes, the first steps."""

    icon = "overview"

    @expose("/")
    def index(self) -> str:
        """The overview."""
        visible_to = g.caller.user_id if g.caller.owned_only else None
        steps = overview.list_first_steps() if may(Permission.WRITE) else []
        return str(
            self.render(
                "switchyard/overview.html",
                providers=overview.count_providers(),
                agents=overview.count_agents(visible_to),
                attention=overview.list_attention(visible_to),
                # The history shows every agent, a viewer sees only some.
                changes=list_latest(LATEST) if may(Permission.OPERATE) else None,
                steps=[] if all(step.done for step in steps) else steps,
            )
        )
