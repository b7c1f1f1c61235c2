"""What ails the database, in words: for whoever asked it, for the log and for /readyz."""

import logging
import os
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import InternalError, OperationalError, StatementError

from app.core.errors import Unavailable

AWAY = (OperationalError, InternalError, sa.exc.TimeoutError)
"""What a database that is away, busy, full or read-only does to whoever asks it."""
NO_ROOM = "out of disk space"
READ_ONLY = "read-only"
GONE = "gone: its file was removed"
LEAST_ROOM = 1024 * 1024  # bytes: one save more may be one too many
SAY_AGAIN_AFTER = 1.0  # seconds

# How SQLite's name of an error, or PostgreSQL's number of it, begins.
_STATES = {
    "SQLITE_FULL": NO_ROOM,
    "53100": NO_ROOM,
    "SQLITE_READONLY": READ_ONLY,
    "25006": READ_ONLY,
}

log = logging.getLogger(__name__)


class _Outage:
    """Says why, once a second: an outage is not a line a request."""

    def __init__(self) -> None:
        self._reason = ""
        self._again_at = 0.0

    def say(self, reason: str) -> None:
        now = time.monotonic()
        if reason != self._reason or now > self._again_at:
            self._reason, self._again_at = reason, now + SAY_AGAIN_AFTER
            log.error("database: %s", reason)


_outage = _Outage()


def reason_of(error: Exception) -> str:
    """What the database itself said, on one line, without the statement."""
    said = error.orig if isinstance(error, StatementError) else error
    if isinstance(error, StatementError) and not isinstance(error, AWAY):
        return type(said).__name__  # its text may quote a value
    return str(said).strip().partition("\n")[0] or type(said).__name__


def unavailable(error: Exception, advice: str) -> Unavailable:
    """The refusal for whoever asked, ``error`` being the driver's or SQLAlchemy's; the log gets
    the database's own words, which may name its address."""
    _outage.say(reason_of(error))
    return Unavailable(f"The database is {_state_of(error)}; {advice}.")


def what_prevents_writing(connection: sa.Connection) -> str | None:
    """What can be seen without writing: a full disk, a read-only file, a standby; None = nothing.

    Raises SQLAlchemyError. Of PostgreSQL's disk nothing can be seen from here.
    """
    if connection.dialect.name == "sqlite":
        file = connection.engine.url.database
        return _what_prevents_writing_to(Path(file)) if file and file != ":memory:" else None
    standby = connection.scalar(sa.text("SELECT pg_is_in_recovery()"))
    return READ_ONLY if standby else None


def _what_prevents_writing_to(file: Path) -> str | None:
    if not file.exists():
        return GONE
    if not os.access(file, os.W_OK):  # its permissions, or a file system mounted read-only
        return READ_ONLY
    disk = os.statvfs(file.parent)
    return NO_ROOM if disk.f_bavail * disk.f_frsize < LEAST_ROOM else None


def _state_of(error: Exception) -> str:
    said = error.orig if isinstance(error, StatementError) else error
    code = getattr(said, "sqlite_errorname", None) or getattr(said, "sqlstate", None) or ""
    found = (state for start, state in _STATES.items() if code.startswith(start))
    return next(found, "busy or away")
