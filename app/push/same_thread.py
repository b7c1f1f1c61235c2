"""A socket's library thread, folded into the thread that serves the request.

The WebSocket library reads in a thread of its own and wakes the handler through an event. Ours has
nothing else to do than to listen, so the handler's thread does the reading and the event hands
messages over on the spot: one thread less for every socket, and 10 KiB under gevent. The library
takes both classes as options.
"""

from collections.abc import Callable


class SameThread:
    """In the place of ``threading.Thread``: runs when whoever holds it says so."""

    def __init__(self, target: Callable[[], None]) -> None:
        self.name = ""
        self.run = target

    def start(self) -> None:
        """Not yet: the handler has things to do before the first message."""


class Signal:
    """In the place of ``threading.Event``: setting it calls ``on_set``, and nobody ever waits."""

    def __init__(self) -> None:
        self.on_set: Callable[[], None] = lambda: None

    def set(self) -> None:
        self.on_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Nothing more comes while the only reader is here."""
        return False

    def clear(self) -> None:
        """There is nothing to forget."""
