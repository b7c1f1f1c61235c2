"""One committed row, read apart from every session and transaction: for what each request asks.

Through a session that costs 140 microseconds on SQLite and 240 on PostgreSQL, here 4 and 15. The
connections are of a pool of their own, always in autocommit. A few of them stay checked out between
reads, the one used last on top: among the threads of a busy server, the locks of the pool and its
ping cost more than the read itself, and a read can simply be tried again.
"""

from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy import event
from sqlalchemy.engine import Compiled
from sqlalchemy.pool import PoolProxiedConnection

from app.core.db import BUSY_SECONDS, db
from app.core.shared_read import SharedRead, Stuck
from app.core.trouble import unavailable

KEPT = 8
_EXTENSION = "switchyard_read_now"
_OPTIONS = {
    "isolation_level": "AUTOCOMMIT",
    "pool_reset_on_return": None,
    "pool_size": KEPT,
    "max_overflow": 24,
    "pool_timeout": BUSY_SECONDS,
}


class Reader:
    """Reads rows on connections that it keeps."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._kept: deque[PoolProxiedConnection] = deque()
        self._spelled: dict[sa.Select[Any], Compiled] = {}
        self._shared: dict[str, SharedRead[tuple[Any, ...] | None]] = {}
        self._away = engine.dialect.loaded_dbapi.Error

    def read(self, *statement: Any) -> tuple[Any, ...] | None:
        """The first row of a constant statement and its parameters, if any. Raises Unavailable."""
        with suppress(IndexError, self._away):  # none is kept, or the database was restarted
            return self._read(self._kept.pop(), *statement)
        try:
            return self._read(self._engine.raw_connection(), *statement)
        except (self._away, sa.exc.TimeoutError) as error:
            raise unavailable(error, "try again in a moment") from None

    def share(self, statement: str) -> tuple[Any, ...] | None:
        """The same for a statement that everybody asks. Raises Unavailable."""
        shared = self._shared.get(statement)
        if shared is None:
            shared = self._shared[statement] = SharedRead(partial(self.read, statement))
        try:
            return shared.get()
        except Stuck:  # whoever comes from now on does not wait for that one
            self._shared.pop(statement, None)
            return self.read(statement)

    def find(self, query: sa.Select[Any], parameters: dict[str, str]) -> tuple[Any, ...] | None:
        """The first row of a constant query, as the driver has it. Raises Unavailable."""
        spelled = self._spelled.get(query)
        if spelled is None:
            spelled = self._spelled[query] = query.compile(dialect=self._engine.dialect)
        order: list[str] | None = getattr(spelled, "positiontup", None)  # SQLite's are nameless
        given = parameters if order is None else tuple(parameters[name] for name in order)
        return self.read(str(spelled), given)

    def close(self) -> None:
        """Give all connections back; the next read opens one again."""
        with suppress(IndexError):
            while True:
                self._kept.pop().close()

    def _read(self, connection: PoolProxiedConnection, *statement: Any) -> tuple[Any, ...] | None:
        try:
            row = connection.dbapi_connection.execute(*statement).fetchone()  # type: ignore[union-attr]
        except self._away:
            connection.invalidate()
            raise
        if len(self._kept) < KEPT:
            self._kept.append(connection)
        else:
            connection.close()
        return row and tuple(row)


def init_app(app: Flask) -> None:
    """Give the app its reader, which closes with the database's own pool."""
    with app.app_context():
        of_sessions = db.engine
    options = app.config["SQLALCHEMY_ENGINE_OPTIONS"] | _OPTIONS
    engine = sa.create_engine(of_sessions.url, **options)
    reader = app.extensions[_EXTENSION] = Reader(engine)

    @event.listens_for(of_sessions, "engine_disposed")
    def close(_engine: sa.Engine) -> None:
        reader.close()
        engine.dispose()


def read_now(statement: str) -> tuple[Any, ...]:
    """The one row of a constant statement, as it is committed now. Raises Unavailable."""
    row = _reader().share(statement)
    if row is None:
        raise LookupError("the row that always is there is gone")
    return row


def find_now(query: sa.Select[Any], **parameters: str) -> tuple[Any, ...] | None:
    """The row that a constant query finds now, its values as the driver has them: to be compared
    with what was found before. Raises Unavailable."""
    return _reader().find(query, parameters)


def _reader() -> Reader:
    reader: Reader = current_app.extensions[_EXTENSION]
    return reader
