"""The client's logger, which is at rest while the process forks.

A child that is made while another thread writes a line inherits the stream's lock, and nobody who
would release it: the child's own first line, and the thread that follows the server, would hang.
"""

import contextlib
import logging
import os
import threading
from typing import Any

PATIENCE = 1.0
"""Seconds that a fork waits for a line that is being written; a handler may hang."""

_writing = threading.RLock()


class _Log(logging.LoggerAdapter[logging.Logger]):
    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            with _writing:
                super().log(level, msg, *args, **{"stacklevel": 2} | kwargs)


logger = _Log(logging.getLogger("switchyard_client"))


def _wait_for_lines() -> None:
    _writing.acquire(timeout=PATIENCE)


def _go_on() -> None:
    with contextlib.suppress(RuntimeError):  # it was not waited for to the end
        _writing.release()


def _renew() -> None:
    global _writing
    _writing = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows has none, and does not fork
    os.register_at_fork(before=_wait_for_lines, after_in_parent=_go_on, after_in_child=_renew)
