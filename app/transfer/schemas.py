"""The wire shape of an import's report."""

from marshmallow import fields

from app.core.rest import Schema


class ImportArgs(Schema):
    """How to import."""

    dry_run = fields.Boolean(load_default=False)
    prune = fields.Boolean(load_default=False)


class DifferenceOut(Schema):
    """What happens to one item; ``fields`` maps paths in it to ``[old, new]``."""

    section = fields.String()
    name = fields.String()
    operation = fields.String()
    fields_ = fields.Dict(data_key="fields")


class ImportReport(Schema):
    """What an import did, or would do."""

    dry_run = fields.Boolean()
    created = fields.Integer()
    updated = fields.Integer()
    deleted = fields.Integer()
    unchanged = fields.Integer()
    diff = fields.List(fields.Nested(DifferenceOut))
    warnings = fields.List(fields.String())
