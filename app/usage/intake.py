"""How many batches one process stores at a time: what is too much is sent away, not piled up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, current_app
from werkzeug.exceptions import TooManyRequests

PATIENCE = 2.0  # seconds
RETRY_AFTER = 2
_EXTENSION = "usage_intake"


class Intake:
    """A door that a limited number goes through at once."""

    def __init__(self, width: int, patience: float = PATIENCE) -> None:
        self._free = threading.BoundedSemaphore(width)
        self._patience = patience

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Wait for a place, but not for long. Raises TooManyRequests."""
        if not self._free.acquire(timeout=self._patience):
            message = "More usage comes in than can be stored just now; send it again."
            raise TooManyRequests(message, retry_after=RETRY_AFTER)
        try:
            yield
        finally:
            self._free.release()


def init_app(app: Flask) -> None:
    """Give the app its door."""
    app.extensions[_EXTENSION] = Intake(app.config["USAGE_INTAKE"])


def intake() -> Intake:
    """This process's door."""
    door: Intake = current_app.extensions[_EXTENSION]
    return door
