"""The verb of checks: asking for one.

A save is itself the request (``providers.services.schedule_check``); its nudge is only a hint, the
sweep finds what a lost one left.
"""

from app.core.db import commit
from app.providers.models import Provider
from app.providers.services import get_provider, schedule_check


def request_check(provider_id: int) -> Provider:
    """Ask for a check, as a save does. Raises NotFound."""
    provider = get_provider(provider_id, for_update=True)
    schedule_check(provider)
    commit()
    return provider
