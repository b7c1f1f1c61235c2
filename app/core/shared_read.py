"""One read for all who came before it began: what they get is never older than their question.

Among the threads of a busy server each read costs its turn on the interpreter several times over;
eight that come together share one or two.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Row = TypeVar("Row")

PATIENCE = 1.0  # seconds; a read takes microseconds, unless its connection is dead


class Stuck(Exception):
    """Somebody else's read does not come back."""


class SharedRead(Generic[Row]):
    """A read that several threads want at once."""

    def __init__(self, read: Callable[[], Row], patience: float = PATIENCE) -> None:
        self._read = read
        self._patience = patience
        self._turn = threading.Lock()
        self._begun = self._done = 0
        self._row: Row

    def get(self) -> Row:
        """The row as it was at some moment after this call. Raises Stuck, and what the read raises:
        a failure is not shared, whoever comes next tries again."""
        begun_before = self._begun
        if not self._turn.acquire(timeout=self._patience):
            raise Stuck
        try:
            if self._done <= begun_before:
                self._begun += 1
                self._row = self._read()
                self._done = self._begun
            return self._row
        finally:
            self._turn.release()
