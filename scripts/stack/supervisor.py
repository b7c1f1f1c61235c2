"""Keeps the processes of the stack running and stops them in order: one thread, one loop."""

import selectors
import signal
import socket
import time
from collections.abc import Callable

from scripts.stack.child import Child
from scripts.stack.errors import StartError

Write = Callable[[str, str], None]  # (name, line) -> nothing

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK = 0.1
_GRACE = 4.5  # seconds between SIGTERM and SIGKILL


class StopRequested(Exception):
    """Ctrl-C, SIGTERM or a closed terminal: not an error, but the end."""


class Supervisor:
    """Starts groups of children; a group that came later is stopped earlier."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._groups: list[tuple[Child, ...]] = []
        self._outputs: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._stop_requested = False
        # A signal writes a byte into this pair, so that select() wakes up at once.
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)

    def listen_to_signals(self) -> None:
        """From here on a stop signal raises StopRequested out of `run_until`, and only there."""
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        for signum in _STOP_SIGNALS:
            signal.signal(signum, self._request_stop)
        # Ignored by default, a child's end would wake nobody.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def start(self, *group: Child) -> None:
        self._groups.append(group)
        for child in group:
            self._start(child)

    def run_once(self, child: Child) -> int:
        """Run a command to its end beside the others; answers its exit code."""
        self._start(child)
        try:
            self.run_until(lambda: not child.running)
        finally:
            child.kill()
            self._close_output(child)
        return child.returncode or 0

    def run_until(
        self,
        done: Callable[[], bool],
        timeout: float = float("inf"),
        *,
        restart: bool = False,
    ) -> bool:
        """Relay output and watch the children until ``done``; False if ``timeout`` came first.

        A child that ends is started again with ``restart``; without, that is a StartError.
        """
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                return False
            self._relay(_TICK)
            if self._stop_requested:
                raise StopRequested
            self._watch(restart)
        return True

    def stop(self) -> None:
        """End everything, the last group first; nothing of any session is left."""
        while self._groups:
            self._stop(self._groups.pop())

    def close(self) -> None:
        """Give its own descriptors back."""
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _request_stop(self, *_: object) -> None:
        self._stop_requested = True

    def _start(self, child: Child) -> None:
        output = child.start()
        self._outputs[output] = child
        self._selector.register(output, selectors.EVENT_READ)

    def _relay(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._wake_reader:
                self._wake_reader.recv(4096)
            elif key.fd in self._outputs:
                self._relay_child(self._outputs[key.fd])

    def _relay_child(self, child: Child) -> None:
        lines = child.read_lines()
        if lines is None:
            self._close_output(child)
        for line in lines or ():
            self._write(child.name, line)

    def _close_output(self, child: Child) -> None:
        """Its last words; then no more, for a grandchild may hold the pipe open for ever."""
        for output in [fd for fd, owner in self._outputs.items() if owner is child]:
            for line in child.read_lines() or ():
                self._write(child.name, line)
            self._selector.unregister(output)
            del self._outputs[output]
            for line in child.close_output():
                self._write(child.name, line)

    def _watch(self, restart: bool) -> None:
        for child in [child for group in self._groups for child in group]:
            if child.running:
                continue
            if child.restart_at is None:
                self._ended(child, restart)
            elif time.monotonic() >= child.restart_at:
                self._start(child)

    def _ended(self, child: Child, restart: bool) -> None:
        child.kill()
        self._close_output(child)
        if not restart:
            raise StartError(f"{child.name} ended while starting ({child.ending}).")
        delay = child.plan_restart()
        self._write("switchyard", f"{child.name} ended ({child.ending}); again in {delay:g} s")

    def _stop(self, group: tuple[Child, ...]) -> None:
        for child in group:
            child.terminate()
        deadline = time.monotonic() + _GRACE
        while any(child.running for child in group) and time.monotonic() < deadline:
            self._relay(_TICK)
        for child in group:
            child.kill()
            self._close_output(child)
