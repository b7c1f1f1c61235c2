"""The session hooks that write every change of the configuration down, whichever door it came by.

A model says which of its columns are configuration (``tracked``), state that a check settles
(``settled``) or a secret (``secret``); any other column may change without a trace. The counter row
is raised after everything else, so it is the last lock a transaction takes: raised first, it
deadlocked 37 of 80 transactions on PostgreSQL, last, none of 480.
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import (
    Mapped,
    ORMExecuteState,
    Session,
    SessionTransaction,
    UOWTransaction,
    mapped_column,
)
from sqlalchemy.orm.attributes import get_history

from app.changes.models import Change, ConfigState, Operation
from app.changes.pending import Pending, SecretId
from app.core.actor import current_actor
from app.core.clock import utcnow
from app.core.db import db
from app.core.jobs import bell, publisher

CONFIG, SETTLED, SECRET = "config", "settled", "secret"
APPEND_ONLY = (Change, ConfigState)


def tracked(*args: Any, **kwargs: Any) -> Any:
    """A column that is configuration: old and new value go into the history."""
    return _column(CONFIG, *args, **kwargs)


def settled(*args: Any, **kwargs: Any) -> Any:
    """A state that counts as a change only where it settles on another value."""
    return _column(SETTLED, *args, **kwargs)


def secret(*args: Any, shown_as: str, **kwargs: Any) -> Any:
    """A secret's id: the history says that ``shown_as`` changed and nothing more."""
    return _column(SECRET, *args, shown_as=shown_as, **kwargs)


def _column(kind: str, *args: Any, shown_as: str | None = None, **kwargs: Any) -> Any:
    # active_history: without it, setting an expired attribute leaves no old value behind.
    info = {"tracked": kind, "shown_as": shown_as}
    return mapped_column(*args, active_history=True, info=info, **kwargs)


class Tracked:
    """What every tracked model is: a row with an id that belongs to a root."""

    entity: ClassVar[str]
    __table__: ClassVar[Any]

    id: Mapped[int] = mapped_column(primary_key=True)

    @property
    def root(self) -> "TrackedRoot":
        """The row this one is a part of; its version covers both."""
        raise NotImplementedError

    def before_save(self) -> None:
        """Last touch before the row is written, e.g. to seal a key that was just set."""


class TrackedRoot(Tracked):
    """A row with a version of its own, for If-Match, and the rev that last changed it."""

    version: Mapped[int] = mapped_column(default=1)
    config_rev: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)

    @property
    def root(self) -> "TrackedRoot":
        return self

    @property
    def root_name(self) -> str:
        """What people call it: a slug, a name."""
        raise NotImplementedError


@event.listens_for(db.session, "before_flush")
def raise_versions(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    """Let rows seal their keys, and raise the version of every root whose configuration changes."""
    _refuse_rewriting(session)
    _prepare(session)
    raised = session.info.setdefault("raised", set())
    # The session makes these sets anew each time they are named.
    new, dirty, deleted = session.new, session.dirty, session.deleted
    changed = (row for row in dirty if isinstance(row, Tracked) and _changes_config(row))
    for row in [*new, *changed, *deleted]:
        if not isinstance(row, Tracked) or row.root in raised or row.root in deleted:
            continue
        raised.add(row.root)  # once a transaction, however often it flushes
        if row.root not in new:
            row.root.version += 1
            row.root.updated_at = utcnow()


@event.listens_for(db.session, "after_flush")
def collect(session: Session, _context: UOWTransaction) -> None:
    """Note what the flush did; ids exist now and the old values are still known."""
    for operation, rows in (
        (Operation.CREATE, session.new),
        (Operation.UPDATE, session.dirty),
        (Operation.DELETE, session.deleted),
    ):
        for row in rows:
            if isinstance(row, Tracked):
                _collect_row(session, operation, row)


@event.listens_for(db.session, "before_commit")
def write_changes(session: Session) -> None:
    """Raise the rev and write the changes, in the transaction that made them."""
    if session.in_nested_transaction():
        return
    session.flush()  # before_commit fires before the final flush
    pending: dict[Any, Pending] = session.info.get("pending", {})
    changes = [(entry, diff) for entry in pending.values() if (diff := _outcome(entry))]
    session.info["pending"] = {}
    if not changes:
        return
    rev = session.execute(
        sa.update(ConfigState.__table__)  # type: ignore[arg-type]
        .values(rev=ConfigState.__table__.c.rev + 1)
        .returning(ConfigState.__table__.c.rev)
    ).scalar_one()
    rows = [_row(rev, seq, entry, diff) for seq, (entry, diff) in enumerate(changes)]
    session.execute(sa.insert(Change.__table__), rows)  # type: ignore[arg-type]
    for table, row_id in {entry.root_row for entry, _diff in changes}:
        # The root's lock is held since the flush, so nothing is locked after the counter.
        session.execute(sa.update(table).where(table.c.id == row_id).values(config_rev=rev))
    session.info["rev"] = rev


@event.listens_for(db.session, "after_commit")
def announce(session: Session) -> None:
    """Wake the local hub, hand the hints to the publisher, and let both go first: memory only,
    never raises."""
    rev = session.info.pop("rev", None)
    nudges = session.info.pop("nudges", []) if not session.in_nested_transaction() else []
    if rev is not None:
        bell().ring(rev)
        publisher().hint(rev)
    for job, argument in nudges:
        publisher().nudge(job, argument)
    if rev is not None:
        bell().give_way(rev)


@event.listens_for(db.session, "after_transaction_end")
def forget(session: Session, transaction: SessionTransaction) -> None:
    """However the outermost transaction ended, nothing of it is left in the session."""
    if transaction.parent is None:
        for name in ("pending", "raised", "rev", "nudges"):
            session.info.pop(name, None)


@event.listens_for(db.session, "do_orm_execute")
def refuse_bulk(state: ORMExecuteState) -> None:
    """Bulk statements pass the hooks by: refuse them on tracked models, and on the history."""
    if state.is_select or not state.is_orm_statement:
        return
    mapper = state.bind_mapper
    if mapper is not None and issubclass(mapper.class_, (Tracked, *APPEND_ONLY)):
        raise RuntimeError(f"bulk {type(state.statement).__name__} on tracked {mapper.class_}")


def image_of(row: Tracked) -> dict[str, Any]:
    """The row's configuration as the history would write it down, without its secrets."""
    _old, new, _quiet = _values(Operation.CREATE, row)
    return {name: value for name, value in new.items() if not isinstance(value, SecretId)}


def _refuse_rewriting(session: Session) -> None:
    """What is written in the history stays written; pruning it is a plain statement of its own."""
    for row in [*session.dirty, *session.deleted]:
        if isinstance(row, APPEND_ONLY) and (row in session.deleted or session.is_modified(row)):
            raise RuntimeError(f"{type(row).__name__} is append-only")


def _collect_row(session: Session, operation: Operation, row: Tracked) -> None:
    old, new, quiet = _values(operation, row)
    if not old and not new and operation is Operation.UPDATE:
        return
    if session.in_nested_transaction():
        # Rolled back to the savepoint, the change would stay in the list.
        raise RuntimeError("configuration is not changed inside a savepoint")
    root = row.root
    root_row = (root.__table__, root.id)
    entry = Pending(row.entity, row.id, operation, root.root_name, root_row, old, new, quiet)
    pending = session.info.setdefault("pending", {})
    key = (row.entity, row.id)
    if key not in pending:
        pending[key] = entry
    elif pending[key].operation is Operation.CREATE and operation is Operation.DELETE:
        del pending[key]
    else:
        pending[key].merge(entry)


def _values(operation: Operation, row: Tracked) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Old and new values of the tracked columns, and whether only settled state changed."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    quiet = operation is Operation.UPDATE
    for name, shown_as, kind in _tracked_columns(type(row)):
        history = get_history(row, name)
        if operation is Operation.UPDATE and not history.has_changes():
            continue
        current = _portable(getattr(row, name), kind)
        before = history.deleted[0] if history.deleted else None
        if operation is not Operation.CREATE:
            old[shown_as] = current if operation is Operation.DELETE else _portable(before, kind)
        if operation is not Operation.DELETE:
            new[shown_as] = current
        quiet = quiet and kind == SETTLED
    return old, new, quiet


def _prepare(session: Session) -> None:
    """What has to happen to rows before a flush touches them."""
    for row in [*session.new, *session.dirty]:
        if isinstance(row, Tracked):
            row.before_save()
    for row in session.dirty:
        if isinstance(row, Tracked) and _is_orphan(row):
            session.delete(row)  # the flush would delete it anyway, but unseen
    for row in session.deleted:
        if isinstance(row, Tracked):
            _values(Operation.DELETE, row)  # loads what expired: after the flush it is gone


def _is_orphan(row: Tracked) -> bool:
    """Whether it was taken out of its parent's list, which deletes it by cascade."""
    return bool(sa.inspect(type(row))._is_orphan(sa.inspect(row)))  # type: ignore[union-attr]


def _changes_config(row: Tracked) -> bool:
    columns = _tracked_columns(type(row))
    return any(k != SETTLED and get_history(row, name).has_changes() for name, _, k in columns)


def _tracked_columns(model: type[Tracked]) -> tuple[tuple[str, str, str], ...]:
    """Attribute, name in the history and kind of every tracked column."""
    mapper: Any = sa.inspect(model)
    columns = ((attribute.key, attribute.columns[0]) for attribute in mapper.column_attrs)
    return tuple(
        (key, column.info["shown_as"] or column.name, column.info["tracked"])
        for key, column in columns
        if "tracked" in column.info
    )


def _portable(value: Any, kind: str) -> Any:
    """A value as JSON can hold it."""
    if value is None:
        return None
    if kind == SECRET:
        return SecretId(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value


def _outcome(entry: Pending) -> dict[str, Any] | None:
    """The diff, or None where an update came out as it went in."""
    diff = entry.diff()
    return diff if diff or entry.operation is not Operation.UPDATE else None


def _row(rev: int, seq: int, entry: Pending, diff: dict[str, Any]) -> dict[str, Any]:
    quiet = entry.quiet and entry.operation is Operation.UPDATE
    return {
        "rev": rev,
        "seq": seq,
        "at": utcnow(),
        "actor": current_actor(),
        "entity": entry.entity,
        "entity_id": entry.entity_id,
        "root": entry.root,
        "operation": Operation.STATUS if quiet else entry.operation,
        "diff": diff,
    }
