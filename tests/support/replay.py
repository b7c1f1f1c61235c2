"""The history, played from its beginning: what it ends with has to be what the tables hold."""

import copy
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from app.changes.models import Change, Operation
from app.changes.services import read_state
from app.changes.tracker import Tracked, image_of
from app.core.db import Base, db, reading

Images = dict[tuple[str, int], dict[str, Any]]
MADE_BY_A_MIGRATION: Images = {("halt", 1): {"budget_state": "ok"}}


def contradictions() -> list[str]:
    """Where the whole history and the tables, read in one snapshot, say something else.

    A gap in the revs, a change that does not begin where the one before it ended, a row without
    its change, a change without its row: each is a line.
    """
    with reading():
        changes = list(db.session.scalars(sa.select(Change).order_by(Change.rev, Change.seq)))
        told = list(_gaps([change.rev for change in changes], read_state().rev))
        images: Images = copy.deepcopy(MADE_BY_A_MIGRATION)
        for change in changes:
            told += _apply(change, images)
        stored = {(row.entity, row.id): _filled(image_of(row)) for row in _rows()}
        db.session.expunge_all()
    for key in images.keys() | stored.keys():
        said, found = images.get(key), stored.get(key)
        if said != found:
            told.append(f"{key}: the history ends with {said}, the table holds {found}")
    return told


def _gaps(revs: list[int], newest: int) -> Iterator[str]:
    expected = set(range(1, newest + 1))
    if (found := set(revs)) != expected:
        yield f"revs: {sorted(expected ^ found)} of {newest}"


def _apply(change: Change, images: Images) -> Iterator[str]:
    key = (change.entity, change.entity_id)
    where = f"rev {change.rev}: {change.operation} of {key}"
    if (change.operation is Operation.CREATE) == (key in images):
        yield f"{where}, which {'is there' if key in images else 'is not there'} already"
    image = images.setdefault(key, {})
    for name, entry in change.diff.items():
        if isinstance(entry, str):  # of a secret nothing is told
            continue
        old, new = entry
        if image.get(name) != old:
            yield f"{where}: {name} was {old!r}, but {image.get(name)!r} before"
        image[name] = new
    images[key] = _filled(image)
    if change.operation is Operation.DELETE and images.pop(key):
        yield f"{where} leaves something of it"


def _filled(image: dict[str, Any]) -> dict[str, Any]:
    """What is null may be missing."""
    return {name: value for name, value in image.items() if value is not None}


def _rows() -> Iterator[Tracked]:
    for mapper in Base.registry.mappers:
        if issubclass(mapper.class_, Tracked):
            yield from db.session.scalars(sa.select(mapper.class_))
