"""The one door to the database: types, naming, snapshots for reading, and the only commit.

``reading()`` opens a read-only snapshot, so that a rev and the data read beside it agree; all else
writes. On SQLite a writer takes the write lock at once (BEGIN IMMEDIATE): a transaction that
reads first and upgrades later fails immediately and ignores the busy time-out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Flask, current_app, g
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction, registry
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from app.core.errors import Conflict
from app.core.trouble import AWAY, unavailable

READING = "switchyard_reading"
BUSY_SECONDS = 5
"""How long a writer waits for another one."""
IDLE_SECONDS = 10
"""How long PostgreSQL lets a process sleep over its transaction: a frozen one keeps its locks."""
DEAF_SECONDS = 15
"""How long PostgreSQL's machine may leave sent bytes unanswered; the kernel would wait minutes."""
NOT_SAVED = "nothing was saved"
CLASHES = (IntegrityError, StaleDataError, ObjectDeletedError, NoResultFound)
"""What two writers of the same rows can do to each other."""

Model = TypeVar("Model", bound="Base")


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware instant in UTC. SQLite drops the zone, so it is put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # Flask-Admin's forms post naive times; they are meant in UTC.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(sa.TypeDecorator[Decimal]):
    """Money, exactly: NUMERIC(38, 18); text on SQLite, where NUMERIC would go through a float."""

    impl = sa.Numeric(38, 18)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(60))
        return dialect.type_descriptor(sa.Numeric(38, 18))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not value.is_finite():
            raise ValueError("money is a finite number")
        return format(value, "f") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else plain(Decimal(value))


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros or exponent: 0.0050 and 5E-3 are both 0.005."""
    # Not normalize(): it rounds to the 28 digits of the context.
    text = format(value, "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSON on both databases; None is SQL's NULL, not JSON's."""


def text_enum(enum: type[StrEnum], name: str | None = None) -> sa.Enum:
    """A StrEnum as checked text: portable, and a new member needs no ALTER TYPE.

    ``name`` names the check where a table has two columns of the same enum.
    """
    return sa.Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=32,
        name=name or re.sub(r"(?<!^)(?=[A-Z])", "_", enum.__name__).lower(),
        values_callable=lambda members: [member.value for member in members],
    )


IDS_ONCE = {"sqlite_autoincrement": True}
"""For tables whose ids stand in the history: SQLite would give a deleted row's id out again."""


class Base(DeclarativeBase):
    """The base of every model. ``type_annotation_map`` must ride on the registry here."""

    registry = registry(
        metadata=sa.MetaData(
            naming_convention={
                "ix": "ix_%(column_0_label)s",
                "uq": "uq_%(table_name)s_%(column_0_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            datetime: UtcDateTime(),
            Decimal: ExactDecimal(),
            dict[str, Any]: Json,
            list[str]: Json,
        },
    )


class SnapshotSession(FlaskSession):
    """A session whose next transaction is a read-only snapshot where it was told so.

    The snapshot begins with the first query: a request that finds its answer elsewhere opens none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.info[READING] = g.pop(READING, False)

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        bind = super().get_bind(*args, **kwargs)
        return current_app.extensions[READING] if self.info.get(READING) else bind

    def rollback(self) -> None:
        """End the transaction. With its connection lost, the database has done so itself."""
        with suppress(*AWAY):
            super().rollback()

    def close(self) -> None:
        """The same. Left half closed, the session would be found by a later request."""
        try:
            super().close()
        except AWAY:
            self.info.clear()


db = SQLAlchemy(model_class=Base, session_options={"class_": SnapshotSession})


def init_app(app: Flask) -> None:
    """Bind the engine of DATABASE_URL and set its connections up."""
    url = app.config["DATABASE_URL"]
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url)
    db.init_app(app)
    with app.app_context():
        options: dict[str, Any] = {READING: True}
        if db.engine.dialect.name == "sqlite":
            _prepare_sqlite(db.engine)
        else:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        # The same connections, under other options.
        app.extensions[READING] = db.engine.execution_options(**options)


@contextmanager
def reading(session: Session | None = None) -> Iterator[None]:
    """A read-only snapshot for the length of the block; it is given back at the end."""
    session = session or db.session()
    before = session.info.get(READING, False)
    start_reading(session)
    try:
        yield
    finally:
        session.rollback()
        session.info[READING] = before


def start_reading(session: Session) -> None:
    """Make the session's next transaction a snapshot; it ends with it, at the latest with the
    request. Raises RuntimeError inside a transaction."""
    if session.in_transaction():
        raise RuntimeError("a read-only snapshot cannot start inside a transaction")
    session.info[READING] = True


def read_first() -> None:
    """The same for the session of this request, which may never need one."""
    g.setdefault(READING, True)


def read_on() -> None:
    """After a commit, read what the answer needs in a snapshot: any statement would begin a
    transaction to write, and on SQLite hold the write lock until the answer is sent."""
    session = db.session()
    if not session.in_transaction():
        start_reading(session)


@event.listens_for(db.session, "after_transaction_end")
def _end_reading(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(READING, None)


def commit() -> None:
    """Commit the session: the only place that does. Raises Conflict or Unavailable."""
    with _translated(if_lost="look whether it was saved"):
        db.session.commit()


def flush() -> None:
    """Send the changes so far. Raises Conflict or Unavailable."""
    with _translated():
        db.session.flush()


def lock(name: str) -> None:
    """Hold a named lock until the transaction ends. SQLite has one writer anyway."""
    if db.session.get_bind().dialect.name == "postgresql":
        key = sa.func.hashtextextended(name, 0)
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def find_row(model: type[Model], row_id: int, *, for_update: bool = False) -> Model | None:
    """The row with this id; ``for_update`` locks it. None: there is none.

    What was read of it before it was locked may be somebody else's past: it is read again.
    """
    return db.session.get(
        model, row_id, with_for_update=for_update or None, populate_existing=for_update
    )


def referrers(row: Base, at_most: int | None = None, *, for_update: bool = False) -> list[Base]:
    """The rows that point at this one, over every mapped foreign key: who depends on it?

    ``at_most`` bounds how many of each kind are loaded; ``for_update`` locks them, by id.
    """
    found: list[Base] = []
    for mapper in Base.registry.mappers:
        for column in mapper.local_table.columns:
            if column.references(row.__table__.c.id):
                query = sa.select(mapper.class_).where(column == row.id)  # type: ignore[attr-defined]
                if for_update:
                    query = query.order_by(*mapper.primary_key).with_for_update(of=mapper.class_)
                found.extend(db.session.scalars(query.limit(at_most)))
    return found


@contextmanager
def _translated(if_lost: str = NOT_SAVED) -> Iterator[None]:
    """``if_lost``: what to say where the connection broke, perhaps behind the last word."""
    try:
        yield
    except CLASHES as error:
        db.session.rollback()
        raise conflict_of(error) from None
    except AWAY as error:
        db.session.rollback()
        lost = getattr(error, "connection_invalidated", False)
        raise unavailable(error, if_lost if lost else NOT_SAVED) from None


def conflict_of(error: Exception) -> Conflict:
    """What clashed, said so that it may be shown."""
    if isinstance(error, IntegrityError):
        return Conflict(_conflict_message(error))
    return Conflict("Somebody else removed it, or what it refers to, in the meantime.")


def _conflict_message(error: IntegrityError) -> str:
    """Say what clashed without showing a value: the driver's own text may contain one."""
    diagnostics = getattr(error.orig, "diag", None)
    name = getattr(diagnostics, "constraint_name", None) or str(error.orig)
    if "FOREIGN KEY" in name or name.startswith("fk_"):
        return "It refers to something that is gone, or something still refers to it."
    for table in Base.metadata.tables.values():
        for column in table.columns:
            if f"{table.name}.{column.name}" in name or name == f"uq_{table.name}_{column.name}":
                return f"The {column.name} is taken by another row of {table.name}."
    return "It clashes with what is stored."


def _engine_options(url: str) -> dict[str, Any]:
    # Parameters of a failed statement may be keys and prompts: they stay out of every message.
    options: dict[str, Any] = {"hide_parameters": True, "pool_size": 20, "max_overflow": 80}
    if url.startswith("sqlite"):
        return options | {"connect_args": {"timeout": BUSY_SECONDS}}
    limits = {"lock_timeout": BUSY_SECONDS, "idle_in_transaction_session_timeout": IDLE_SECONDS}
    settings = " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items())
    peer = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5}
    peer |= {"connect_timeout": 5, "tcp_user_timeout": DEAF_SECONDS * 1000}
    return options | {"pool_pre_ping": True, "connect_args": {"options": settings, **peer}}


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(READING, False)
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
