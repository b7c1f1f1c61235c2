"""The wire shape of users and tokens. Passwords and tokens go in, or out once, and never again."""

from typing import Any

from marshmallow import fields, validate

from app.accounts.models import ApiToken, Role, Scope
from app.core.rest import MAX_ID, Flag, PageArgs, Pattern, Schema, Text, WholeNumber

ROLES = [role.value for role in Role]
SCOPES = [scope.value for scope in Scope]
MIN_PASSWORD = 8
MAX_BINDING = 1000  # agents of one token
SLUG = Pattern(r"^[a-z0-9-]{1,64}$", error="No agent_id: a-z, 0-9 and dashes, at most 64.")


class UserPatch(Schema):
    """What changes a user. A new password ends all their sessions."""

    username = Text(min_length=1, max_length=64)
    email = fields.Email(validate=validate.Length(max=254))
    role = fields.String(validate=validate.OneOf(ROLES))
    password = Text(min_length=MIN_PASSWORD, max_length=200, load_only=True)
    active = Flag()


class UserIn(UserPatch):
    """What creates a user."""

    email = fields.Email(required=True, validate=validate.Length(max=254))
    password = Text(min_length=MIN_PASSWORD, max_length=200, required=True, load_only=True)
    role = fields.String(validate=validate.OneOf(ROLES), load_default=Role.VIEWER.value)


class UserOut(Schema):
    """A user as it is read."""

    id = fields.Integer()
    username = fields.String()
    email = fields.String()
    role = fields.Enum(Role, by_value=True)
    active = fields.Boolean()
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class UserList(Schema):
    """A page of users."""

    users = fields.List(fields.Nested(UserOut))
    total = fields.Integer()


class UserArgs(PageArgs):
    """Filters of the list."""

    role = fields.String(validate=validate.OneOf(ROLES), load_default=None)


class UserDeleteArgs(Schema):
    """``?cascade=true`` deletes the user's agents as well."""

    cascade = fields.Boolean(load_default=False)


class TokenPatch(Schema):
    """What changes a token; its secret and its owner stay."""

    name = Text(min_length=1, max_length=128)
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)), validate=validate.Length(min=1)
    )
    agents = fields.List(
        fields.String(validate=SLUG),
        allow_none=True,
        validate=validate.Length(1, MAX_BINDING),
        metadata={"description": "The agent_ids it is bound to; null = all."},
    )
    expires_at = fields.AwareDateTime(allow_none=True)


class TokenIn(TokenPatch):
    """What creates a token."""

    name = Text(min_length=1, max_length=128, required=True)
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)),
        required=True,
        validate=validate.Length(min=1),
    )
    user_id = WholeNumber(
        low=1,
        high=MAX_ID,
        allow_none=True,
        metadata={"description": "Whose default agent answers for `current`."},
    )


class TokenOut(Schema):
    """A token as it is read: recognised by its prefix."""

    id = fields.Integer()
    name = fields.String()
    prefix = fields.String()
    scopes = fields.List(fields.String())
    agents = fields.List(fields.String(), allow_none=True)
    user_id = fields.Integer(allow_none=True)
    expires_at = fields.AwareDateTime(allow_none=True)
    revoked_at = fields.AwareDateTime(allow_none=True)
    is_live = fields.Boolean()
    version = fields.Integer()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


class NewToken(TokenOut):
    """The one answer that shows the token itself."""

    token = fields.String()


class TokenList(Schema):
    """A page of tokens."""

    tokens = fields.List(fields.Nested(TokenOut))
    total = fields.Integer()


class TokenArgs(PageArgs):
    """Filters of the list."""

    active_only = fields.Boolean(load_default=False)


def dump_new_token(token: ApiToken, value: str) -> dict[str, Any]:
    """A token with its secret, for the one answer that shows it."""
    body: dict[str, Any] = TokenOut().dump(token)
    return body | {"token": value}
