"""How the flushes of one transaction fold into one change."""

from typing import Any

import sqlalchemy as sa

from app.changes.models import Operation
from app.changes.pending import Pending, SecretId

TABLE = sa.Table("t", sa.MetaData())


def pending(
    operation: Operation, old: dict[str, Any], new: dict[str, Any], **options: Any
) -> Pending:
    return Pending("agent", 1, operation, "slug", (TABLE, 1), old, new, **options)


def update(old: dict[str, Any], new: dict[str, Any], **options: Any) -> Pending:
    return pending(Operation.UPDATE, old, new, **options)


def test_updates_keep_the_first_old_and_the_last_new() -> None:
    entry = update({"a": 1}, {"a": 2})
    entry.merge(update({"a": 2, "b": 0}, {"a": 3, "b": 9}))
    assert entry.diff() == {"a": [1, 3], "b": [0, 9]}


def test_what_came_back_is_no_difference() -> None:
    entry = update({"a": 1, "b": 1}, {"a": 2, "b": 2})
    entry.merge(update({"a": 2}, {"a": 1}))
    assert entry.diff() == {"b": [1, 2]}


def test_a_creation_has_no_old_values_whatever_follows() -> None:
    entry = pending(Operation.CREATE, {}, {"a": 1, "b": 1})
    entry.merge(update({"a": 1}, {"a": 2}))
    entry.merge(update({"a": 2}, {"a": 1}))
    assert (entry.operation, entry.diff()) == (Operation.CREATE, {"a": [None, 1], "b": [None, 1]})


def test_a_deletion_ends_with_nothing() -> None:
    entry = update({"a": 1}, {"a": 2})
    entry.merge(pending(Operation.DELETE, {"a": 2, "b": 5}, {}))
    assert (entry.operation, entry.diff()) == (Operation.DELETE, {"a": [1, None], "b": [5, None]})


def test_an_id_that_is_given_out_again_is_an_update() -> None:
    entry = pending(Operation.DELETE, {"a": 1, "b": 1}, {})
    entry.merge(pending(Operation.CREATE, {}, {"a": 2, "b": 1}))
    assert (entry.operation, entry.diff()) == (Operation.UPDATE, {"a": [1, 2]})


def test_secrets_say_changed_and_nothing_else() -> None:
    assert update({"k": None}, {"k": SecretId("id-1")}).diff() == {"k": "changed"}
    assert update({"k": SecretId("id-1")}, {"k": SecretId("id-2")}).diff() == {"k": "changed"}
    assert update({"k": SecretId("id-1")}, {"k": None}).diff() == {"k": "changed"}
    assert update({"k": SecretId("id-1")}, {"k": SecretId("id-1")}).diff() == {}


def test_one_loud_flush_makes_the_whole_loud() -> None:
    entry = update({"s": 1}, {"s": 2}, quiet=True)
    entry.merge(update({"s": 2}, {"s": 3}, quiet=True))
    assert entry.quiet
    entry.merge(update({"a": 1}, {"a": 2}, quiet=False))
    assert not entry.quiet
