"""The stored keys as a whole: the canary, how many are sealed by what, putting all under the first.

What holds a sealed secret is found by how its column's name ends, and opened by the method of that
name (``api_key_sealed``, ``open_api_key``): a new model needs no line here.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from app.core.crypto import KeyUnreadable, keyring
from app.core.db import Base, commit, db, lock, reading
from app.core.models import EncryptionCanary
from app.core.trouble import reason_of
from app.settings import SettingsError

SEALED = "_sealed"
CANARY = {"text": "switchyard"}
PURPOSE = "canary"

log = logging.getLogger(__name__)


class KeyReport(NamedTuple):
    """How the stored keys stand. ``unreadable`` names rows; nothing of them is ever wiped."""

    current: int
    outdated: int
    unreadable: list[str]


def check_canary() -> str:
    """Seal the canary on the first start, open it on every later one.

    Raises SettingsError where ENCRYPTION_KEYS are not the keys of this database.
    """
    lock("canary")
    canary = db.session.get(EncryptionCanary, 1)
    if canary is None:
        db.session.add(EncryptionCanary(id=1, sealed=keyring().seal(PURPOSE, CANARY)))
        commit()
        return "made"
    sealed = canary.sealed
    db.session.rollback()
    verify_canary(sealed)
    return "ok"


def check_before_serving(app: Flask) -> None:
    """The same for a process that is about to serve, which makes nothing.

    A database that is away or empty says nothing against the keys: /readyz answers for it.
    """
    with app.app_context():
        try:
            with reading():
                _verify_stored_canary()
        except SQLAlchemyError as error:
            log.info("keys not checked against the database: %s", reason_of(error))


def check_for_command() -> None:
    """The same for a command that seals keys or opens them. Raises SettingsError."""
    check_before_serving(current_app)


def adopt() -> KeyReport:
    """Take ENCRYPTION_KEYS for this database's, where its own are lost for good.

    Nothing is wiped: what they do not open is named, and has to be entered again.
    """
    lock("canary")
    canary = db.session.get(EncryptionCanary, 1) or EncryptionCanary(id=1)
    canary.sealed = keyring().seal(PURPOSE, CANARY)
    db.session.add(canary)
    commit()
    return status()


def verify_canary(sealed: str) -> None:
    """Raises SettingsError unless one of ENCRYPTION_KEYS opens the canary."""
    try:
        keyring().open(PURPOSE, sealed)
    except KeyUnreadable:
        raise SettingsError(
            "ENCRYPTION_KEYS: none of them is this database's key. Put the old key back (behind "
            "the new one, if you meant to rotate), then run `flask keys rotate`. Where it is lost "
            "for good, `flask keys adopt` starts anew, and each stored key has to be entered again."
        ) from None


def status() -> KeyReport:
    """Count what is sealed by the first key, by older ones, and name what does not open: none of
    them sealed it, or it is of another row or origin."""
    current = outdated = 0
    unreadable: dict[str, None] = {}  # a row may hold two secrets, and is named once
    for model, column, row in _sealed_rows():
        if not _opens(row, column):
            unreadable[f"{model.entity} {row.id} ({row.root.root_name})"] = None
        elif keyring().is_current(model.entity, getattr(row, column)):
            current += 1
        else:
            outdated += 1
    db.session.rollback()
    return KeyReport(current, outdated, list(unreadable))


def rotate(progress: Callable[..., Any] | None = None) -> KeyReport:
    """Seal everything with the first key, row by row, each in a transaction of its own.

    It can stop at any point and be run again; agents are served all the while.
    Raises SettingsError where ENCRYPTION_KEYS are not the keys of this database.
    """
    _verify_stored_canary()
    ids = [(model, column, row.id) for model, column, row in _sealed_rows()]
    db.session.rollback()
    with progress(ids, label="Rotating") if progress else nullcontext(ids) as steps:
        for model, column, row_id in steps:
            _rotate_row(model, column, row_id)
    _rotate_canary()
    return status()


def _verify_stored_canary() -> None:
    sealed = db.session.scalar(sa.select(EncryptionCanary.sealed))
    if sealed is not None:
        verify_canary(sealed)


def _rotate_row(model: Any, column: str, row_id: int) -> None:
    row = db.session.get(model, row_id, with_for_update=True)
    sealed = getattr(row, column, None)
    if sealed is None or keyring().is_current(model.entity, sealed):
        db.session.rollback()
        return
    try:
        setattr(row, column, keyring().rotate(model.entity, sealed))
    except KeyUnreadable:
        db.session.rollback()  # named in the report, and left as it is
        return
    commit()


def _rotate_canary() -> None:
    canary = db.session.get(EncryptionCanary, 1)
    if canary is not None and not keyring().is_current(PURPOSE, canary.sealed):
        canary.sealed = keyring().rotate(PURPOSE, canary.sealed)
    commit()


def _sealed_rows() -> Iterator[tuple[Any, str, Any]]:
    """Model, name of the sealed column, row."""
    for mapper in Base.registry.mappers:
        for column in (it for it in mapper.columns if it.name.endswith(SEALED)):
            for row in db.session.scalars(sa.select(mapper.class_).where(column.is_not(None))):
                yield mapper.class_, column.name, row


def _opens(row: Any, column: str) -> bool:
    try:
        getattr(row, f"open_{column.removesuffix(SEALED)}")()
    except KeyUnreadable:
        return False
    return True
