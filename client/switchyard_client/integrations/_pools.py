"""HTTP connections of the SDKs: kept between calls, never shared over a fork or between loops.

An SDK's client that makes its own connections takes 50 ms to build; one that is handed them, 50
microseconds.
"""

import asyncio
import os
import weakref
from collections.abc import Callable
from typing import Any


class Pool:
    """One of what `make` makes for each process, and for each event loop in it.

    Args:
        make: an HTTP client; `make_async` the same for asyncio.
    """

    def __init__(self, make: Callable[[], Any], make_async: Callable[[], Any]) -> None:
        self._make = make
        self._make_async = make_async
        self._made: Any = None
        self._by_loop: weakref.WeakKeyDictionary[object, Any] = weakref.WeakKeyDictionary()
        self._pid = os.getpid()

    def get(self) -> Any:
        """For calls that block."""
        self._after_fork()
        if self._made is None:
            self._made = self._make()
        return self._made

    def get_async(self) -> Any:
        """For the event loop that is running; outside of one, for no calls at all."""
        self._after_fork()
        try:
            loop: object = asyncio.get_running_loop()
        except RuntimeError:
            loop = self
        found = self._by_loop.get(loop)
        if found is None:
            found = self._by_loop[loop] = self._make_async()
        return found

    def _after_fork(self) -> None:
        """What the parent has open is the parent's."""
        if self._pid != os.getpid():
            self._pid, self._made = os.getpid(), None
            self._by_loop = weakref.WeakKeyDictionary()
