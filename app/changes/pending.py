"""What one transaction has done so far to one entity: first old and last new values."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app.changes.models import Operation


@dataclass
class Pending:
    """What a transaction has done so far to one entity: its first old and its last new values."""

    entity: str
    entity_id: int
    operation: Operation
    root: str
    root_row: tuple[sa.Table, int]
    old: dict[str, Any] = field(default_factory=dict)
    new: dict[str, Any] = field(default_factory=dict)
    quiet: bool = True
    """Nothing but settled state has changed."""

    def merge(self, later: "Pending") -> None:
        """Fold a later flush of the same entity into this one."""
        if self.operation is not Operation.CREATE:  # what was created has no old values
            self.old = later.old | self.old
        self.new = self.new | later.new
        self.quiet = self.quiet and later.quiet
        self.root = later.root
        if later.operation is Operation.DELETE:
            self.operation = Operation.DELETE
            self.new = {}
        elif self.operation is Operation.DELETE:
            self.operation = Operation.UPDATE  # SQLite has given the id out again

    def diff(self) -> dict[str, Any]:
        """Fields that came out different, as ``[old, new]``; a secret's as "changed"."""
        names = [name for name in {**self.old, **self.new} if self._differs(name)]
        return {name: self._entry(name) for name in names}

    def _differs(self, name: str) -> bool:
        return bool(self.old.get(name) != self.new.get(name))

    def _entry(self, name: str) -> Any:
        old, new = self.old.get(name), self.new.get(name)
        if isinstance(old, SecretId) or isinstance(new, SecretId):
            return "changed"
        return [old, new]


class SecretId(str):
    """A secret's id on its way into a diff, where it must not show."""
