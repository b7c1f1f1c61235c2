"""Flask-Admin's furniture: the gate, the base of every view, fields, templates, static files."""

from typing import Any

from flask import Flask
from flask_admin import Admin, AdminIndexView
from flask_admin.theme import Bootstrap4Theme

from app.admin.assets import Assets

blueprint = Assets(
    "console",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/admin/static/console",
)


def new_admin(app: Flask, index_view: AdminIndexView) -> Admin:
    """The empty admin interface under /admin/, ``index_view`` first. ``app.console`` fills it: to
    add a page, add a line there and its routes to tests/contract/test_admin.py."""
    from app.accounts.gate import Permission
    from app.admin import policy
    from app.admin.durations import duration
    from app.admin.gate import may
    from app.admin.money import dollars, exact_dollars
    from app.agents.halt_admin import halt_state
    from app.changes.services import read_state

    policy.init_app(app)
    app.register_blueprint(blueprint)

    @app.context_processor
    def furniture() -> dict[str, Any]:
        return {
            "may": may,
            "Permission": Permission,
            "halt_state": halt_state,
            "dollars": dollars,
            "duration": duration,
            "exact_dollars": exact_dollars,
            "shown_rev": lambda: read_state().rev,
        }

    return Admin(
        app,
        name="Switchyard",
        index_view=index_view,
        theme=Bootstrap4Theme(base_template="switchyard/base.html"),
    )
