"""Admin: the overview, the first page that a person sees."""

from typing import Any

from flask import g
from flask_admin import AdminIndexView, expose

from app.accounts.gate import Permission
from app.admin.gate import Gate, may
from app.pages import overview
from app.pages.spend import read_spend
from app.usage.reach import Sight

LATEST = 10


class OverviewView(Gate, AdminIndexView):
    """What there is and in which state, what needs attention, the last changes, the first steps."""

    icon = "overview"

    @expose("/")
    def index(self) -> str:
        """The overview."""
        visible_to = g.caller.visible_to
        return str(
            self.render(
                "switchyard/overview.html",
                providers=overview.count_providers(),
                agents=overview.count_agents(visible_to),
                attention=_attention(visible_to),
                spend=read_spend(Sight.of(g.caller)),
                changes=overview.list_changes(visible_to, LATEST),
                **(_of_operators() if may(Permission.INSPECT) else {}),
                **(_of_admins() if may(Permission.WRITE) else {}),
            )
        )


def _attention(visible_to: int | None) -> list[overview.Attention]:
    """A viewer is not told of what keeps the work from being done."""
    operational = overview.list_operational_attention() if may(Permission.INSPECT) else []
    return overview.worst_first([*operational, *overview.list_attention(visible_to)])


def _of_operators() -> dict[str, Any]:
    """What a viewer does not see: all the clients."""
    return {"clients": overview.count_clients()}


def _of_admins() -> dict[str, Any]:
    steps = overview.list_first_steps()
    return {"steps": [] if all(step.done for step in steps) else steps}
