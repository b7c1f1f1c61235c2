"""The wire shape of the history, and of a restore."""

from datetime import UTC
from typing import Any

from marshmallow import fields, validate

from app.changes.models import Change, Operation
from app.core.rest import MAX_ID, Instant, PageArgs, Schema, Text, WholeNumber

MAX_REV = 2**53  # what every JSON reader holds exactly


class ChangeOut(Schema):
    """One entity's part in one change. ``diff`` maps fields to ``[old, new]``, a secret to text."""

    rev = fields.Integer()
    seq = fields.Integer()
    at = fields.AwareDateTime()
    actor = fields.String()
    entity = fields.String()
    entity_id = fields.Integer()
    root = fields.String()
    operation = fields.Enum(Operation, by_value=True)
    diff = fields.Dict()


class ChangeList(Schema):
    """A page of the history, newest first."""

    changes = fields.List(fields.Nested(ChangeOut))
    total = fields.Integer()


class ChangeArgs(PageArgs):
    """Filters of the history. ``agent_id`` and ``root`` are the same; ``actor`` may be a part."""

    class Meta(Schema.Meta):
        exclude = ("search",)

    entity = Text(max_length=32)
    entity_id = fields.Integer(validate=validate.Range(1, MAX_ID))
    root = Text(max_length=256)
    agent_id = Text(max_length=64)
    actor = Text(max_length=200)
    operation = fields.Enum(Operation, by_value=True)
    since = Instant(default_timezone=UTC)
    until = Instant(default_timezone=UTC)
    rev_from = fields.Integer(validate=validate.Range(0, MAX_REV))
    rev_to = fields.Integer(validate=validate.Range(0, MAX_REV))


class RestoreIn(Schema):
    """What to restore; both may be left out where the change is of one entity."""

    entity = Text(min_length=1, max_length=32)
    entity_id = WholeNumber(low=1)


class RestoreOut(Schema):
    """The new change, or ``rev`` null where it was in that state already."""

    rev = fields.Integer(allow_none=True)
    entity = fields.String()
    entity_id = fields.Integer()
    root = fields.String()
    warnings = fields.List(fields.String())


def dump_changes(changes: list[Change]) -> list[dict[str, Any]]:
    """A page of the history."""
    dumped: list[dict[str, Any]] = ChangeOut(many=True).dump(changes)
    return dumped
