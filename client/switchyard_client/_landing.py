"""Something under way that any number of threads and event loops wait for."""

import threading
from collections.abc import Callable


class Landing:
    """An event that can be waited for, or be told of."""

    def __init__(self) -> None:
        self._landed = threading.Event()
        self._on_landing: list[Callable[[], None]] = []

    @property
    def landed(self) -> bool:
        return self._landed.is_set()

    def wait(self, timeout: float) -> bool:
        return self._landed.wait(timeout)

    def when_landed(self, callback: Callable[[], None]) -> None:
        """Call back at the end, from any thread; now if it is over. Perhaps twice."""
        self._on_landing.append(callback)
        if self.landed:
            callback()

    def land(self) -> None:
        self._landed.set()
        for callback in list(self._on_landing):
            callback()
