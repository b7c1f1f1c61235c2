"""Admin: who signs in, and which programs come with a token."""

from typing import Any

from flask import g, request
from flask.typing import ResponseReturnValue
from flask_admin.model.template import macro
from flask_security import login_user
from wtforms import BooleanField, SelectField

from app.accounts import services
from app.accounts.gate import Permission
from app.accounts.models import ApiToken, Role, Scope, User
from app.accounts.schemas import TokenIn, TokenPatch, UserIn, UserPatch
from app.admin.base import ResourceView, expose, load
from app.admin.fields import (
    ChecksField,
    ChoiceField,
    KeyField,
    LineField,
    MomentField,
    NamesField,
    ResourceForm,
    choices,
)

ROLES = {
    Role.ADMIN: "admin: everything",
    Role.OPERATOR: "operator: reads everything, validates, tests, halts",
    Role.VIEWER: "viewer: reads what is theirs or nobody's",
}
SCOPES = {
    Scope.CONFIG_READ: "config:read, to read configurations and listen for changes",
    Scope.SECRETS_READ: "secrets:read, to receive the providers' keys with them",
    Scope.USAGE_WRITE: "usage:write, to report what was spent",
    Scope.CONFIG_WRITE: "config:write, to change agents, chains, providers, tasks",
    Scope.ADMIN: "admin, everything",
}


class UserForm(ResourceForm):
    """A user as they are entered."""

    email = LineField("E-mail", required=True, render_kw={"type": "email"})
    username = LineField("Username")
    role = SelectField("Role", choices=choices(ROLES.items()), default=Role.VIEWER)
    password = KeyField("Password")
    active = BooleanField("Active", default=True)

    def payload(self) -> dict[str, Any]:
        fields = {name: self[name].data for name in ("email", "role", "active")}
        optional = {name: self[name].data for name in ("username", "password")}
        return fields | {name: value for name, value in optional.items() if value}


class TokenForm(ResourceForm):
    """A token as it is entered. Whose it is stays as it was made."""

    name = LineField("Name", required=True)
    scopes = ChecksField("Scopes", choices=choices(SCOPES.items()), default=services.CLIENT_SCOPES)
    agents = NamesField("Agents", render_kw={"rows": 3, "spellcheck": "false", "data-picker": ""})
    expires_at = MomentField("Expires (UTC)")

    def payload(self) -> dict[str, Any]:
        fields = {name: self[name].data for name in ("name", "scopes", "agents")}
        return fields | {"expires_at": self.expires_at.moment}


class NewTokenForm(TokenForm):
    """The same for a token that is to be made."""

    user_id = ChoiceField("User", choices=lambda: _user_choices())

    def payload(self) -> dict[str, Any]:
        return super().payload() | {"user_id": self.user_id.data}


class AccountsView(ResourceView):
    """What the pages of users and of tokens share."""

    needs = Permission.INSPECT
    needs_to_write = Permission.ADMINISTER
    needed_by = {  # noqa: RUF012
        "create_view": Permission.ADMINISTER,
        "edit_view": Permission.ADMINISTER,
    }
    icon = "users"
    can_view_details = False


class UserView(AccountsView):
    """Users: list, form."""

    noun = "User"
    form = UserForm
    create_schema = UserIn
    update_schema = UserPatch
    list_template = "switchyard/users.html"
    create_template = edit_template = "switchyard/user_form.html"
    column_list = ("email", "username", "role", "active", "updated_at")
    column_export_list = column_list
    column_labels = {"email": "E-mail", "updated_at": "Changed"}  # noqa: RUF012
    column_sortable_list = ("email", "username", "role", "updated_at")
    column_formatters = {  # noqa: RUF012
        "email": macro("email_cell"),
        "role": macro("role_cell"),
        "active": macro("active_cell"),
        "updated_at": macro("changed_cell"),
    }
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def list_query(self, args: dict[str, Any]) -> Any:
        return services.users_query(args)

    def find(self, row_id: int) -> User:
        return services.get_user(row_id)

    def create(self, data: dict[str, Any]) -> tuple[User, list[str]]:
        return services.create_user(**data), []

    def update(self, row: User, data: dict[str, Any], version: int) -> tuple[User, list[str]]:
        user = services.update_user(row.id, data, version)
        if "password" in data and user.id == g.caller.user_id:
            login_user(user)  # the sessions of the old password have ended: this one goes on
        return user, []

    def delete(self, row: User, version: int) -> None:
        services.delete_user(row.id, version, cascade=request.form.get("cascade") == "1")


class TokenView(AccountsView):
    """Tokens: list, form, and the one page that shows a new one."""

    menu_endpoint = "user"
    noun = "Token"
    deleted = "Token {name} is revoked."
    form = TokenForm
    update_schema = TokenPatch
    list_template = "switchyard/tokens.html"
    create_template = edit_template = "switchyard/token_form.html"
    column_list = ("name", "state", "scopes", "agents", "expires_at", "created_at")
    column_export_list = ("name", "prefix", "scopes", "agents", "expires_at", "revoked_at")
    column_labels = {"expires_at": "Expires", "created_at": "Made"}  # noqa: RUF012
    column_sortable_list = ("name", "expires_at", "created_at")
    column_formatters = {  # noqa: RUF012
        name: macro(f"{name}_cell") for name in column_list
    }
    column_formatters_export: dict[str, Any] = {}  # noqa: RUF012

    def is_visible(self) -> bool:
        return False  # a part of the users' page

    def list_query(self, args: dict[str, Any]) -> Any:
        active_only = request.args.get("active") == "1"
        return services.tokens_query(args | {"active_only": active_only})

    def find(self, row_id: int) -> ApiToken:
        return services.get_token(row_id)

    def update(
        self, row: ApiToken, data: dict[str, Any], version: int
    ) -> tuple[ApiToken, list[str]]:
        return services.update_token(row.id, data, version), []

    def delete(self, row: ApiToken, version: int) -> None:
        services.revoke_token(row.id, version)

    def create_form(self, obj: Any = None) -> NewTokenForm:
        return NewTokenForm(request.form if request.method == "POST" else None)

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> ResponseReturnValue:
        """The empty form; once it is sent, the one page that shows the token."""
        form = self.create_form()
        values: list[str] = []

        def save() -> tuple[ApiToken, list[str]]:
            token, value = services.create_token(**load(TokenIn, form))
            values.append(value)
            return token, []

        if request.method == "POST" and (token := self._attempt(form, save, "made")):
            return str(self.render("switchyard/token_made.html", model=token, value=values[0]))
        return self._form_page(self.create_template, form)


def _user_choices() -> list[Any]:
    people = ((user.id, user.email) for user in services.list_users())
    return choices([("", "Nobody: for a program of its own"), *people])
