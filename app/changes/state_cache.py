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


class StateCache(Generic[Value]):
    """At most ``size`` values of one state; the one that was not asked for longest goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._generation: tuple[Any, OrderedDict[Hashable, Value]] = (None, OrderedDict())

    def __len__(self) -> int:
        return len(self._generation[1])

    def get(self, state: State, key: Hashable) -> Value | None:
        """What was stored under ``key`` at this very state."""
        known, values = self._generation
        if known != _identity(state):
            return None
        with suppress(KeyError):  # another thread may drop it between the two
            values.move_to_end(key)
            return values[key]
        return None

    def put(self, state: State, key: Hashable, value: Value) -> None:
        """Store what was read at ``state``; everything from other states goes."""
        known, values = self._generation
        if known != _identity(state):
            values = OrderedDict()
            self._generation = (_identity(state), values)
        values[key] = value
        while len(values) > self._size:
            with suppress(KeyError):
                values.popitem(last=False)


def _identity(state: State) -> tuple[str, int]:
    return state.epoch, state.rev


def cache_of_app(name: str, size: int) -> StateCache[Any]:
    """The app's cache of this name."""
    caches = current_app.extensions
    if name not in caches:
        caches.setdefault(name, StateCache(size))
    cache: StateCache[Any] = caches[name]
    return cache
