"""Alerts: a provider that goes down, comes back, or cannot make up its mind is announced."""

from datetime import datetime, timedelta
from typing import Any

from app.core.db import db
from app.health.damping import TURNS, WINDOW, Outlook, Told, judge
from app.health.models import ProviderAlert
from app.providers.models import Provider, ValidationStatus
from app.providers.services import used_by
from app.webhooks.models import EventType
from app.webhooks.services import announce

EVENT_OF = {
    Told.DOWN: EventType.PROVIDER_DOWN,
    Told.UP: EventType.PROVIDER_UP,
    Told.FLAPPING: EventType.PROVIDER_FLAPPING,
}
DEFAULT_INTERVAL = 300  # seconds, where checks are only made when somebody asks
LOOK_AT = 1000  # rows that refer to the provider
NAMED_AGENTS = 20


def on_checked(provider: Provider, interval: int, now: datetime) -> None:
    """Announce what a check has found, where that is news.

    Part of the transaction that records the check and holds the provider's lock; commits nothing.
    ``interval`` is that between two checks, in seconds; 0 = it has none.
    """
    if not provider.is_active:
        return
    state = db.session.get(ProviderAlert, provider.id)
    before = state.outlook if state else Outlook()
    window = WINDOW * timedelta(seconds=interval or DEFAULT_INTERVAL)
    is_down = provider.validation_status is ValidationStatus.ERROR
    after = judge(before, is_down, now, window)
    if after == before:
        return
    if state is None:
        state = ProviderAlert(provider_id=provider.id)
        db.session.add(state)
    state.outlook = after
    if after.told is not before.told:
        announce(EVENT_OF[after.told], _describe(provider, after.told, window))


def _describe(provider: Provider, told: Told, window: timedelta) -> dict[str, Any]:
    names = used_by(provider, at_most=LOOK_AT)
    return {
        "message": _message(provider, told, window),
        "provider": {"id": provider.id, "name": provider.name, "type": provider.type},
        "status": provider.validation_status.value,
        "error": provider.last_error,
        "agents": names[:NAMED_AGENTS],
        "agent_count": len(names),
    }


def _message(provider: Provider, told: Told, window: timedelta) -> str:
    if told is Told.DOWN:
        return f"The provider {provider.name} is down: {provider.last_error}"
    if told is Told.UP:
        return f"The provider {provider.name} is up."
    minutes = round(window.total_seconds() / 60)
    return (
        f"The provider {provider.name} is flapping: it turned more than {TURNS} times in {minutes} "
        f"minutes. Nothing more is said of it until it has not turned for {minutes} minutes."
    )
