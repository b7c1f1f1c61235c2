"""What a section is: how its items are read from the database and written through the services."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from marshmallow import Schema

from app.core.db import db
from app.core.errors import Invalid
from app.transfer.document import Item, Shape, alike

Rows = Mapping[str, Any]


class Section(ABC):
    """One domain's part of a document. Everything is flushed, nothing is committed."""

    name: ClassVar[str]
    key: ClassVar[str]
    """The field that tells its items apart."""
    model: ClassVar[Any]
    item: ClassVar[type[Schema]]
    needed: ClassVar[tuple[str, ...]] = ()
    """The fields that a new item must have."""

    @cached_property
    def schema(self) -> Schema:
        """The item's, built once: there may be ten thousand items."""
        return self.item()

    @property
    def shape(self) -> Shape:
        """What a document needs to know of the section."""
        return Shape(self.name, self.key, self.item)

    def query(self) -> sa.Select[Any]:
        """Every row, with what its item is read from."""
        return sa.select(self.model).order_by(self.model.id)

    def load_rows(self, *, for_update: bool = False) -> Rows:
        """Every row by its name, sorted here: every database has an order of its own."""
        query = self.query()
        if for_update:  # and read again: agents have brought their providers along, not locked
            query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
        by_name = {getattr(row, self.key): row for row in db.session.scalars(query)}
        return dict(sorted(by_name.items()))

    def dump_rows(self, rows: Rows) -> list[Item]:
        """The rows as items, in their order."""
        return [self.schema.dump(row) for row in rows.values()]

    @abstractmethod
    def create(self, data: Item) -> list[str]:
        """Make the item's row. Returns warnings; raises what the domain's services raise."""

    @abstractmethod
    def update(self, row: Any, data: Item) -> list[str]:
        """Change the row's given fields. Returns warnings."""

    @abstractmethod
    def delete(self, row: Any) -> None:
        """Remove the row."""

    def in_order(self, items: Iterable[Item]) -> list[Item]:
        """The items in the order they have to be written."""
        return list(items)

    def check_outcome(self, items: Iterable[Item], after: Mapping[str, Item]) -> None:  # noqa: B027
        """Raises Invalid where what came out, by name, is not what the items say."""

    def check_new(self, data: Item) -> None:
        """Raises Invalid where a new item lacks what it needs."""
        missing = [name for name in self.needed if data.get(name) is None]
        if missing:
            raise Invalid({name: ["Missing data for required field."] for name in missing})

    def changed(self, data: Item, present: Item) -> Item:
        """Those of the item's fields that say something else than ``present`` does."""
        wanted = self.schema.dump(data)
        return {
            field.attribute or name: data[field.attribute or name]
            for name, field in self.schema.fields.items()
            if (key := field.data_key or name) in wanted and not alike(key, wanted, present)
        }
