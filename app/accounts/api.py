"""REST: users and tokens (row U1)."""

from typing import Any

from flask import Response, url_for
from flask.views import MethodView

from app.accounts import services
from app.accounts.gate import Permission, requires
from app.accounts.models import ApiToken, User
from app.accounts.schemas import (
    NewToken,
    TokenArgs,
    TokenIn,
    TokenList,
    TokenOut,
    TokenPatch,
    UserArgs,
    UserDeleteArgs,
    UserIn,
    UserList,
    UserOut,
    UserPatch,
    dump_new_token,
)
from app.core.db import read_on
from app.core.rest import MAX_ID, Blueprint, Deleted, expected_version, paged, with_etag

blueprint = Blueprint("accounts", __name__, description="Users and API tokens")
USER = f"<int(max={MAX_ID}):user_id>"
TOKEN = f"<int(max={MAX_ID}):token_id>"


@blueprint.route("/users")
class Users(MethodView):
    """Everybody who may sign in."""

    @requires(Permission.INSPECT)
    @blueprint.arguments(UserArgs, location="query")
    @blueprint.response(200, UserList)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List users by e-mail."""
        users, total = paged(services.users_query(args), args)
        return {"users": users, "total": total}

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(UserIn)
    @blueprint.response(201, UserOut)
    @blueprint.alt_response(409, description="The e-mail or the username is taken")
    def post(self, data: dict[str, Any]) -> Response:
        """Add somebody who may sign in."""
        user = services.create_user(**data)
        response = _user_response(user, 201)
        response.location = url_for("accounts.OneUser", user_id=user.id)
        return response


@blueprint.route(f"/users/{USER}")
class OneUser(MethodView):
    """One of them."""

    @requires(Permission.INSPECT)
    @blueprint.response(200, UserOut)
    def get(self, user_id: int) -> Response:
        """Read one user."""
        return _user_response(services.get_user(user_id))

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(UserPatch)
    @blueprint.response(200, UserOut)
    def patch(self, data: dict[str, Any], user_id: int) -> Response:
        """Change the sent fields; a new password ends all their sessions."""
        return _user_response(services.update_user(user_id, data, expected_version()))

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(UserDeleteArgs, location="query")
    @blueprint.response(200, Deleted)
    @blueprint.alt_response(409, description="They own agents; the message names them")
    def delete(self, args: dict[str, Any], user_id: int) -> dict[str, Any]:
        """Remove a user and their tokens; with ``?cascade=true`` their agents as well."""
        services.delete_user(user_id, expected_version(), cascade=args["cascade"])
        return {"message": "The user is deleted.", "id": user_id}


@blueprint.route("/tokens")
class Tokens(MethodView):
    """Every token, by its prefix."""

    @requires(Permission.INSPECT)
    @blueprint.arguments(TokenArgs, location="query")
    @blueprint.response(200, TokenList)
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List tokens, newest first."""
        tokens, total = paged(services.tokens_query(args), args)
        return {"tokens": tokens, "total": total}

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(TokenIn)
    @blueprint.response(201, NewToken)
    def post(self, data: dict[str, Any]) -> Response:
        """Make a token. This answer is the only one that shows it."""
        token, value = services.create_token(**data)
        response = with_etag(dump_new_token(token, value), token.version, 201)
        response.location = url_for("accounts.OneToken", token_id=token.id)
        return response


@blueprint.route(f"/tokens/{TOKEN}")
class OneToken(MethodView):
    """One of them."""

    @requires(Permission.INSPECT)
    @blueprint.response(200, TokenOut)
    def get(self, token_id: int) -> Response:
        """Read one token."""
        return _token_response(services.get_token(token_id))

    @requires(Permission.ADMINISTER)
    @blueprint.arguments(TokenPatch)
    @blueprint.response(200, TokenOut)
    def patch(self, data: dict[str, Any], token_id: int) -> Response:
        """Change the sent fields."""
        return _token_response(services.update_token(token_id, data, expected_version()))

    @requires(Permission.ADMINISTER)
    @blueprint.response(200, Deleted)
    def delete(self, token_id: int) -> dict[str, Any]:
        """Revoke it: refused within a second, its sockets closed within five."""
        services.revoke_token(token_id, expected_version())
        return {"message": "The token is revoked.", "id": token_id}


def _user_response(user: User, status: int = 200) -> Response:
    read_on()
    return with_etag(UserOut().dump(user), user.version, status)


def _token_response(token: ApiToken) -> Response:
    read_on()
    return with_etag(TokenOut().dump(token), token.version)
