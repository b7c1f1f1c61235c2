"""One provider's check from beginning to end, in the test's own thread."""

from app.core.clock import utcnow
from app.core.db import db
from app.core.http import outbound
from app.health.claims import claim_due
from app.health.prober import probe
from app.health.results import record


def run_check(provider_id: int) -> bool:
    """Check the provider if that is due and nobody else does; whether a result was recorded."""
    claims = claim_due(utcnow(), 1, [provider_id])
    db.session.remove()  # no connection is held while the provider takes its time
    return bool(claims and record([probe(claims[0], outbound())]))
