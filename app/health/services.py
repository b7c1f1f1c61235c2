"""Checks of providers: asked for, claimed by a lease, run outside any transaction, recorded.

A save is itself the request (``providers.services.schedule_check``); its nudge is only a hint, the
sweep finds what a lost one left.
"""

from app.core.clock import utcnow
from app.core.db import commit, db
from app.core.http import outbound
from app.health.claims import claim_due
from app.health.prober import probe
from app.health.results import record
from app.providers.models import Provider
from app.providers.services import get_provider, schedule_check


def request_check(provider_id: int) -> Provider:
    """Ask for a check, as a save does. Raises NotFound."""
    provider = get_provider(provider_id, for_update=True)
    schedule_check(provider)
    commit()
    return provider


def run_check(provider_id: int) -> bool:
    """Check the provider if that is due and nobody else does; whether a result was recorded."""
    claims = claim_due(utcnow(), 1, [provider_id])
    db.session.remove()  # no connection is held while the provider takes its time
    return bool(claims and record([probe(claims[0], outbound())]))
