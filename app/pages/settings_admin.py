"""Admin: the settings, to read. They are set in the environment and hold until a restart."""

from flask_admin import BaseView

from app.accounts.gate import Permission
from app.admin.base import expose
from app.admin.gate import Gate
from app.pages import settings_page


class SettingsView(Gate, BaseView):
    """Every setting, and the versions of what runs."""

    icon = "settings"
    needs = Permission.INSPECT

    @expose("/")
    def index(self) -> str:
        """The page."""
        return str(
            self.render(
                "switchyard/settings.html",
                settings=settings_page.list_settings(),
                versions=settings_page.list_versions(),
            )
        )
