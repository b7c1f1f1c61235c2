"""What was read at one state of the configuration, kept until the next one.

Whoever asks names the state, read from the database a moment ago: what was stored at another one is
not found, whichever process made the change. Nothing is locked, and nothing in here belongs to a
process, so a fork cannot break it.
"""

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from flask import current_app

from app.changes.services import State

Value = TypeVar("Value")


class RecentlyUsed(Generic[Value]):
    """At most ``size`` values; the one that was not asked for longest goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """What was stored under ``key``, if it is still there."""
        with suppress(KeyError):  # another thread may drop it between the two
            self._values.move_to_end(key)
            return self._values[key]
        return None

    def put(self, key: Hashable, value: Value) -> None:
        """Store it as the one used last."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            with suppress(KeyError):
                self._values.popitem(last=False)


class StateCache(Generic[Value]):
    """At most ``size`` values of one state."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._generation: tuple[Any, RecentlyUsed[Value]] = (None, RecentlyUsed(size))

    def __len__(self) -> int:
        return len(self._generation[1])

    def get(self, state: State, key: Hashable) -> Value | None:
        """What was stored under ``key`` at this very state."""
        known, values = self._generation
        return values.get(key) if known == _identity(state) else None

    def put(self, state: State, key: Hashable, value: Value) -> None:
        """Store what was read at ``state``; everything from other states goes."""
        known, values = self._generation
        if known != _identity(state):
            values = RecentlyUsed(self._size)
            self._generation = (_identity(state), values)
        values.put(key, value)


def _identity(state: State) -> tuple[str, int]:
    return state.epoch, state.rev


def cache_of_app(name: str, size: int) -> StateCache[Any]:
    """The app's cache of this name."""
    caches = current_app.extensions
    if name not in caches:
        caches.setdefault(name, StateCache(size))
    cache: StateCache[Any] = caches[name]
    return cache
