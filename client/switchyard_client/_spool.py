"""Usage events on disk while the server is away: one file a process, beside the snapshot.

Whoever writes a file holds a lock on it for as long as it lives, so that the next start takes
over what a dead process left and nothing of a living one. Events may come to the server twice;
their ids make that harmless.
"""

import contextlib
import json
import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._log import logger

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed: a lock of its own kind
    fcntl = None  # type: ignore[assignment]

Event = dict[str, Any]


class Spool:
    """The spool files this process holds: its own, and those it took over."""

    def __init__(self, snapshot: Path) -> None:
        self._snapshot = snapshot
        self._own: int | None = None
        self._held: list[tuple[Path, int]] = []
        self._refused = False
        self.lines = 0
        """Written to the own file so far, sent ones included."""

    def is_needed(self) -> bool:
        """Somebody left events behind, perhaps."""
        return bool(self._files())

    def append(self, events: Iterable[Event]) -> bool:
        """Write events behind those that are there; False where the disk refuses."""
        lines = [json.dumps(event) + "\n" for event in events]
        try:
            if self._own is None:
                self._own = self._create()
            _write(self._own, "".join(lines).encode())
        except OSError as error:
            # Tried again every second: once is enough to be told.
            level = logging.INFO if self._refused else logging.WARNING
            logger.log(level, "usage could not be written to disk: %s", error)
            self._refused = True
            return False
        self._refused = False
        self.lines += len(lines)
        return True

    def take_over(self) -> list[Event]:
        """The events of processes that are gone; held until `clear`."""
        events: list[Event] = []
        for path in self._files():
            descriptor = self._lock(path)
            if descriptor is not None:
                self._held.append((path, descriptor))
                events += _read(descriptor)
        return events

    def clear(self) -> None:
        """All that is on disk has been sent."""
        held, self._held = self._held, []
        self._own, self.lines = None, 0
        for path, descriptor in held:
            os.close(descriptor)
            with contextlib.suppress(OSError):  # it is sent once more by the next start
                path.unlink()

    def close(self) -> None:
        """Let go of the files: the next start takes them over. In a forked child too."""
        held, self._held = self._held, []
        self._own, self.lines = None, 0
        for _, descriptor in held:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _files(self) -> list[Path]:
        held = {path for path, _ in self._held}
        pattern = f"{_escaped(self._snapshot.name)}.usage-*.jsonl"
        try:
            return sorted(set(self._snapshot.parent.glob(pattern)) - held)
        except OSError as error:
            logger.warning("usage left on disk cannot be looked for: %s", error)
            return []

    def _create(self) -> int:
        name = f"{self._snapshot.name}.usage-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        path = self._snapshot.with_name(name)
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR
        os.close(os.open(path, flags, 0o600))
        descriptor = self._lock(path)
        if descriptor is None:  # taken over in the blink between creation and lock
            raise BlockingIOError(f"{name} is not ours")
        self._held.append((path, descriptor))
        return descriptor

    def _lock(self, path: Path) -> int | None:
        """A locked descriptor, unless its process is alive or it has just been cleared away."""
        descriptor = None
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except OSError:
            pass  # somebody else's, for now or for good
        if descriptor is not None:
            os.close(descriptor)
        return None


def _write(descriptor: int, content: bytes) -> None:
    """All of it or nothing: half a line would spoil the next one."""
    before = os.fstat(descriptor).st_size
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _read(descriptor: int) -> list[Event]:
    """The whole lines of a file; a killed process leaves half a one."""
    events = []
    with os.fdopen(os.dup(descriptor), "rb") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and isinstance(event.get("event_id"), str):
                    events.append(event)
    return events


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
