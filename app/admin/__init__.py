"""Flask-Admin's furniture: the gate, the base of every view, fields, templates, static files."""

from typing import Any

from flask import Blueprint, Flask
from flask_admin import Admin, AdminIndexView
from flask_admin.theme import Bootstrap4Theme

blueprint = Blueprint(
    "console",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/admin/static/console",
)


def init_app(app: Flask, index_view: AdminIndexView) -> None:
    """Put the admin interface under /admin/, ``index_view`` first in its menu."""
    from app.accounts.gate import Permission
    from app.admin import policy
    from app.admin.gate import may
    from app.agents.admin import AgentView
    from app.agents.halt_admin import HaltView, halt_state
    from app.agents.models import Agent
    from app.changes.admin import HistoryView
    from app.changes.models import Change
    from app.health.admin import CheckedProviderView
    from app.providers.models import Provider

    policy.init_app(app)
    app.register_blueprint(blueprint)
    admin = Admin(
        app,
        name="Switchyard",
        index_view=index_view,
        theme=Bootstrap4Theme(base_template="switchyard/base.html"),
    )
    admin.add_view(CheckedProviderView(Provider, name="Providers", endpoint="provider"))
    admin.add_view(AgentView(Agent, name="Agents", endpoint="agent"))
    admin.add_view(HistoryView(Change, name="History", endpoint="history"))
    admin.add_view(HaltView(name="Red button", endpoint="red_button", url="/admin/halt"))

    @app.context_processor
    def furniture() -> dict[str, Any]:
        return {"may": may, "Permission": Permission, "halt_state": halt_state}
