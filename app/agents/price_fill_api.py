"""REST: the price table, filled from the catalogue."""

from typing import Any

from marshmallow import fields, validate

from app.accounts.gate import Permission, requires
from app.agents.price_fill import Outcome, Proposal, fill_table
from app.core.rest import Blueprint, Flag, Schema, Text

blueprint = Blueprint("price_fill", __name__, description="What models cost")


class FillIn(Schema):
    """What to take over; nothing is written unless ``dry_run`` is false."""

    dry_run = Flag(load_default=True)
    models = fields.List(
        Text(min_length=1, max_length=256), validate=validate.Length(1, 1000), load_default=None
    )


class ProposalOut(Schema):
    """One model that a chain uses: what the table says of it, and what the catalogue says."""

    provider = fields.String()
    provider_id = fields.Integer(allow_none=True)
    model = fields.String()
    outcome = fields.String(validate=validate.OneOf([it.value for it in Outcome]))
    before = fields.Dict(allow_none=True)
    after = fields.Dict(allow_none=True)


class FillOut(Schema):
    """The difference, whether it was made or only looked at."""

    dry_run = fields.Boolean()
    prices = fields.List(fields.Nested(ProposalOut))
    total = fields.Integer()


@blueprint.route("/prices/fill", methods=["POST"])
@requires(Permission.ADMINISTER)
@blueprint.arguments(FillIn)
@blueprint.response(200, FillOut)
def fill_prices(data: dict[str, Any]) -> dict[str, Any]:
    """Compare the models that agents use with the catalogue, and take its prices over."""
    found = fill_table(data["models"], dry_run=data["dry_run"])
    listed = [_dump(proposal) for proposal in found]
    return {"dry_run": data["dry_run"], "prices": listed, "total": len(listed)}


def _dump(proposal: Proposal) -> dict[str, Any]:
    return {
        "provider": proposal.provider.type,
        "provider_id": proposal.provider.id,
        "model": proposal.model,
        "outcome": proposal.outcome.value,
        "before": proposal.before,
        "after": proposal.after,
    }
