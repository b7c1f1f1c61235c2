"""The wire shape of the list of clients."""

from marshmallow import fields

from app.core.rest import PageArgs, Schema, Text


class ClientOut(Schema):
    """One running program. ``behind`` counts revs; ``token`` is null for a person's session."""

    client_id = fields.String()
    token = fields.String(attribute="token.name", dump_default=None, allow_none=True)
    user = fields.String(attribute="user.email", dump_default=None, allow_none=True)
    sdk = fields.String(allow_none=True)
    applied_rev = fields.Integer(allow_none=True)
    behind = fields.Integer()
    connected = fields.Boolean()
    connected_at = fields.AwareDateTime()
    last_seen_at = fields.AwareDateTime()
    disconnected_at = fields.AwareDateTime(allow_none=True)
    process = fields.String()


class ClientList(Schema):
    """A page of clients."""

    clients = fields.List(fields.Nested(ClientOut))
    total = fields.Integer()


class ClientArgs(PageArgs):
    """Filters of the list. ``agent_id`` keeps the clients that may read that agent."""

    agent_id = Text(max_length=64)
    behind = fields.Boolean()
    connected = fields.Boolean()
