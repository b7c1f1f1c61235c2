"""Admin: the settings, to read. They are set in the environment and hold until a restart."""

from flask import abort, request
from flask_admin import BaseView

from app.accounts.gate import Permission
from app.admin.base import expose
from app.admin.gate import Gate
from app.pages import settings_page
from app.settings import SettingsError


class SettingsView(Gate, BaseView):
    """Every setting, and the versions of what runs."""

    icon = "settings"
    needs = Permission.INSPECT

    @expose("/")
    def index(self) -> str:
        """The page, or those of the settings that a search finds."""
        search = request.args.get("search", "").strip()
        try:
            settings = settings_page.list_settings(search)
        except SettingsError as error:  # of secrets.env, edited since the start
            abort(409, str(error))
        return str(
            self.render(
                "switchyard/settings.html",
                search=search,
                settings=settings,
                versions=settings_page.list_versions(),
            )
        )
