"""Who checks what, and when: a due check is claimed by a lease in the database.

``check_id`` says which check counts: a result that carries another one comes too late.
``check_lease_until`` says until when the provider is left alone. ``check_attempts`` counts the
claims that no result has ended.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import defer

from app.core.clock import utcnow
from app.core.crypto import KeyUnreadable, Secret
from app.core.db import commit, db
from app.core.http import outbound
from app.health.states import SETTLED, Event, next_status, settle
from app.providers.adapters import Adapter, Target, get_adapter
from app.providers.keys import KEY_UNREADABLE, environment_key
from app.providers.models import Provider, ValidationStatus
from app.providers.services import CHECK_MODEL

CLAIM_MARGIN = timedelta(seconds=20)
"""How much longer than the deadline of its request a check may take before it counts as dead."""
LOOK_FOR_KEY = timedelta(minutes=5)
"""How often a provider without a key is looked at: the environment may have one by then."""
MOST_ATTEMPTS = 3
"""After so many workers that died in its check, a provider is in error rather than tried again."""
SUSPECT = 2
"""After so many, a check runs alone, so that not all that ran beside the culprit are blamed."""

NO_KEY = "It needs an API key and has none, so it is not checked."
DEADLY = f"Its check ended {MOST_ATTEMPTS} workers, so it is not tried again for now."


@dataclass(frozen=True)
class Claim:
    """One worker's right to check one provider, with all it needs to do so."""

    provider_id: int
    check_id: str
    started_at: datetime
    adapter: Adapter
    target: Target
    hindrance: str | None = None
    """Why there is nothing to probe."""
    call_model: str | None = None
    """The model to call once, where the provider's listing its models is not to be enough."""


def claim_due(now: datetime, limit: int, only: Collection[int] | None = None) -> list[Claim]:
    """Take up to ``limit`` checks that are due and nobody else has: those asked for first, then
    those waiting longest. ``only`` keeps these providers."""
    free = sa.or_(Provider.check_lease_until.is_(None), Provider.check_lease_until <= now)
    asked_for = Provider.validation_status == ValidationStatus.PENDING
    order = (asked_for.desc(), Provider.last_checked_at.asc().nulls_first(), Provider.id)
    query = (
        sa.select(Provider)
        .where(is_due(now), free, sa.true() if only is None else Provider.id.in_(only))
        .order_by(Provider.check_attempts >= SUSPECT, *order)
        .limit(limit)
        .options(defer(Provider.models))  # it may be a long list, and is none of a claim's business
        # A row that somebody else holds is being saved or claimed: there is nothing to wait for.
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    due = _spread(db.session.scalars(query).all(), now)
    claims = [claim for provider in due if (claim := _claim(provider, now))]
    commit()
    return claims


def _spread(due: Sequence[Provider], now: datetime) -> Sequence[Provider]:
    """Of those in whose checks workers keep dying, one at most, and only if none is under way."""
    suspects = [provider for provider in due if provider.check_attempts >= SUSPECT]
    if not suspects:
        return due
    under_way = sa.and_(Provider.check_attempts > SUSPECT, Provider.check_lease_until > now)
    free = not db.session.scalar(sa.select(sa.exists().where(under_way)))
    return [*due[: len(due) - len(suspects)], *suspects[:free]]


def _claim(provider: Provider, now: datetime) -> Claim | None:
    adapter = get_adapter(provider.type, provider.capability)
    key, hindrance = _find_key(provider)
    if provider.check_attempts >= MOST_ATTEMPTS:
        hindrance = DEADLY
    if key is None and hindrance is None and adapter.needs_key:
        _leave_unchecked(provider, now)
        return None
    provider.validation_status = next_status(provider.validation_status, Event.CLAIMED)
    provider.check_id = uuid.uuid4().hex
    provider.check_attempts += 1
    provider.check_lease_until = now + timedelta(seconds=outbound().deadline) + CLAIM_MARGIN
    target = Target(provider.base_url, key, dict(provider.options))
    call_model = provider.options[CHECK_MODEL] if provider.check_call else None
    return Claim(provider.id, provider.check_id, now, adapter, target, hindrance, call_model)


def bring_forward() -> None:
    """Let a HEALTH_CHECK_INTERVAL that has become shorter hold at once. For a worker's start."""
    latest = utcnow() + timedelta(seconds=current_app.config["HEALTH_CHECK_INTERVAL"])
    table = Provider.__table__
    usual = sa.and_(table.c.check_interval.is_(None), table.c.next_check_at > latest)
    db.session.execute(sa.update(table).where(usual).values(next_check_at=latest))
    commit()


def is_due(now: datetime) -> sa.ColumnElement[bool]:
    """Whether a provider is to be checked: it waits for that, or its slot has come."""
    waiting = Provider.validation_status.in_(
        (ValidationStatus.PENDING, ValidationStatus.VALIDATING)
    )
    aged = sa.and_(
        Provider.is_active,
        Provider.validation_status.in_(SETTLED),
        Provider.next_check_at <= now,
    )
    return sa.or_(waiting, aged)


def is_unfinished(now: datetime) -> sa.ColumnElement[bool]:
    """The same, but for those that were looked at and lack their key."""
    left_alone = sa.and_(Provider.check_id.is_(None), Provider.check_lease_until > now)
    return sa.and_(is_due(now), sa.not_(sa.func.coalesce(left_alone, sa.false())))


def _find_key(provider: Provider) -> tuple[Secret | None, str | None]:
    """The provider's own key, else the server's; and what is wrong with it."""
    try:
        if provider.api_key_set:
            return provider.open_api_key(), None
        fallback = environment_key(provider.type)
        return (fallback.open() if fallback else None), None
    except KeyUnreadable:
        return None, KEY_UNREADABLE


def _leave_unchecked(provider: Provider, now: datetime) -> None:
    """Say that a key is missing, and look again much later: a save comes with its own nudge."""
    provider.validation_status = next_status(provider.validation_status, Event.REQUESTED)
    provider.last_error = NO_KEY
    provider.check_id = None
    provider.check_lease_until = now + LOOK_FOR_KEY
    settle(provider, ValidationStatus.PENDING)
